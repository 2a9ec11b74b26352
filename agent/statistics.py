"""Intervals and tests for comparing policies on the same questions. Pure functions of numbers.

Knows nothing of trajectories or policies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054


def wilson(num_correct: int, num_questions: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion; (0, 1) without questions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if not 0 <= num_correct <= num_questions:
        raise ValueError(f"{num_correct} correct of {num_questions}")
    if num_questions == 0:
        return 0.0, 1.0
    share, square = num_correct / num_questions, Z95 * Z95
    centre = (share + square / (2 * num_questions)) / (1 + square / num_questions)
    spread = share * (1 - share) / num_questions + square / (4 * num_questions * num_questions)
    half = Z95 * math.sqrt(spread) / (1 + square / num_questions)
    low = 0.0 if num_correct == 0 else max(0.0, centre - half)
    high = 1.0 if num_correct == num_questions else min(1.0, centre + half)
    return low, high


def clustered_bootstrap(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0, num_resamples: int = 2000
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `values` when whole clusters (inboxes) are drawn anew.

    Questions of one inbox share its mail, so they are not independent; with one cluster the interval is a point.
    Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 8.
    """
    if not values or len(values) != len(clusters):
        raise ValueError(f"{len(values)} values for {len(clusters)} clusters")
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    counts = np.bincount(index)
    draws = np.random.default_rng(seed).integers(len(names), size=(num_resamples, len(names)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def mcnemar_exact(num_only_first: int, num_only_second: int) -> float:
    """Return the two-sided exact p-value that two policies are equally good on paired questions.

    The arguments count questions that only one of them got right: under the null a fair coin chose which.
    McNemar, Psychometrika 12 (1947).
    """
    if num_only_first < 0 or num_only_second < 0:
        raise ValueError("counts are not negative")
    num_discordant = num_only_first + num_only_second
    tail = sum(math.comb(num_discordant, k) for k in range(min(num_only_first, num_only_second) + 1))
    return min(1.0, 2 * tail / (1 << num_discordant))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for having made them all, in the order given.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
