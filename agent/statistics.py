"""Intervals, tests and sample sizes for comparing policies on the same questions. Pure functions of numbers.

The distributions are scipy's. Knows nothing of trajectories or policies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats


def wilson(num_correct: int, num_questions: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion; (0, 1) without questions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if not 0 <= num_correct <= num_questions:
        raise ValueError(f"{num_correct} correct of {num_questions}")
    if num_questions == 0:
        return 0.0, 1.0
    interval = stats.binomtest(num_correct, num_questions).proportion_ci(0.95, method="wilson")
    # rounding may leave the ends a hair inside of a share of 0 or 1
    low = 0.0 if num_correct == 0 else float(interval.low)
    return low, 1.0 if num_correct == num_questions else float(interval.high)


def clustered_bootstrap(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0, num_resamples: int = 2000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `values` when whole clusters (inboxes) are drawn anew.

    Questions of one inbox share its mail, so they are not independent; with one cluster the interval is a point.
    Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 8.
    """
    if not values or len(values) != len(clusters):
        raise ValueError(f"{len(values)} values for {len(clusters)} clusters")
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(index, weights=np.asarray(values, dtype=float)), np.bincount(index)
    if len(sums) == 1:
        mean = float(sums[0] / counts[0])
        return mean, mean
    drawn = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=num_resamples,
        random_state=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def mcnemar_exact(num_only_first: int, num_only_second: int) -> float:
    """Return the two-sided exact p-value that two policies are equally good on paired questions.

    The arguments count questions that only one of them got right: under the null a fair coin chose which.
    McNemar, Psychometrika 12 (1947).
    """
    if num_only_first < 0 or num_only_second < 0:
        raise ValueError("counts are not negative")
    num_discordant = num_only_first + num_only_second
    return float(stats.binomtest(num_only_first, num_discordant).pvalue) if num_discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for having made them all, in the order given.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def pass_at_k(num_correct: int, num_samples: int, k: int) -> float:
    """Return the unbiased estimate that one of `k` plays of a question is right, from `num_samples` plays of it.

    Chen et al., "Evaluating large language models trained on code", arXiv 2107.03374, section 2.1.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"{k} of {num_samples} plays, {num_correct} correct")
    return 1 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def needed_questions(difference: float, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many questions a paired test needs to see `difference` (of two accuracies, in 0..1).

    `discordant` is the share of questions that only one of the two gets right; it is at least the difference.
    Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43 (1987).
    """
    if not 0 < difference <= 1 or not 0 <= discordant <= 1:
        raise ValueError(f"a difference of {difference} with a discordant share of {discordant}")
    discordant = max(discordant, difference)
    reach = float(stats.norm.isf(alpha / 2)) * math.sqrt(discordant)
    reach += float(stats.norm.isf(1 - power)) * math.sqrt(discordant - difference**2)
    return math.ceil(reach**2 / difference**2)


def _ratio(sums: Any, counts: Any, axis: int) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
