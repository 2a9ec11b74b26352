"""Intervals and tests against statsmodels, published values of R, and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from agent.statistics import clustered_bootstrap, holm, mcnemar_exact, needed_questions, pass_at_k, wilson


@pytest.mark.parametrize(
    ("num_correct", "num_questions", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_gives_published_intervals(num_correct, num_questions, low, high):
    assert wilson(num_correct, num_questions) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_inside_0_and_1(counts):
    num_correct, num_questions = counts
    low, high = wilson(num_correct, num_questions)
    assert 0 <= low <= high <= 1
    if num_questions:
        assert low <= num_correct / num_questions <= high


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="3 correct of 2"):
        wilson(3, 2)


@pytest.mark.parametrize(("first", "second", "p_value"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 22 / 1024)])
def test_mcnemar_gives_exact_binomial_values(first, second, p_value):
    assert mcnemar_exact(first, second) == pytest.approx(p_value)


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_equals_counting_all_coin_throws(first, second):
    total = first + second
    tails = sum(
        min(sum(throw), total - sum(throw)) <= min(first, second) for throw in itertools.product((0, 1), repeat=total)
    ) if total <= 10 else None  # fmt: skip
    if tails is not None:
        assert mcnemar_exact(first, second) == pytest.approx(tails / 2**total)
    assert mcnemar_exact(first, second) == mcnemar_exact(second, first)


def test_mcnemar_takes_large_counts():
    assert 0 < mcnemar_exact(900, 1100) < 1e-4


def test_holm_gives_the_textbook_example_in_the_given_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1)))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)


def test_the_clustered_bootstrap_is_seeded_and_wider_than_the_plain_one():
    random = np.random.default_rng(1)
    clusters = [f"inbox-{i}" for i in range(10) for _ in range(30)]
    shares = random.uniform(0.1, 0.9, 10)
    values = [float(random.random() < shares[int(name[6:])]) for name in clusters]
    clustered = clustered_bootstrap(values, clusters, seed=3)
    assert clustered == clustered_bootstrap(values, clusters, seed=3)
    plain = clustered_bootstrap(values, [str(i) for i in range(len(values))], seed=3)
    assert clustered[1] - clustered[0] > 1.5 * (plain[1] - plain[0])
    assert clustered[0] <= np.mean(values) <= clustered[1]


def test_the_plain_bootstrap_agrees_with_wilson():
    values = [1.0] * 60 + [0.0] * 140
    names = [str(i) for i in range(200)]
    assert clustered_bootstrap(values, names, num_resamples=10_000) == pytest.approx(wilson(60, 200), abs=0.01)


def test_one_inbox_gives_a_point_and_none_is_refused():
    assert clustered_bootstrap([0.0, 1.0], ["a", "a"]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="0 values"):
        clustered_bootstrap([], [])


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_statsmodels(counts):
    assert wilson(*counts) == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-9)


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_that_of_statsmodels(first, second):
    expected = mcnemar([[3, first], [second, 5]], exact=True).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_holm_is_that_of_statsmodels(count):
    p_values = np.random.default_rng(count).beta(0.3, 2, count).round(3)  # small ones, and some twice
    assert holm(list(p_values)) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_values_of_r():
    # prop.test(81, 263, correct = FALSE)$conf.int; binom.test(1, 10)$p.value; p.adjust(c(.01, .02, .03, .04), "holm")
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert mcnemar_exact(1, 9) == pytest.approx(0.02148437)
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_with_a_right_play(case):
    num_correct, num_samples, k = case
    plays = [True] * num_correct + [False] * (num_samples - num_correct)
    draws = list(itertools.combinations(plays, k))
    assert pass_at_k(*case) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_refuses_more_draws_than_plays():
    with pytest.raises(ValueError, match="4 of 3 plays"):
        pass_at_k(1, 3, 4)


def test_the_needed_number_of_questions_gives_the_power_it_promises():
    difference, discordant = 0.1, 0.3
    count = needed_questions(difference, discordant)
    assert count == 234  # z = 1.959964 and 0.841621 by hand
    random = np.random.default_rng(5)
    first, second = (discordant + difference) / 2, (discordant - difference) / 2
    throws = random.multinomial(count, [first, second, 1 - discordant], size=1500)
    seen = [mcnemar_exact(int(ours), int(theirs)) < 0.05 for ours, theirs, _ in throws]
    assert 0.74 < np.mean(seen) < 0.84  # the exact test is a little cautious


def test_a_smaller_difference_needs_more_questions_and_none_is_refused():
    assert needed_questions(0.05, 0.3) > 3.5 * needed_questions(0.1, 0.3)
    assert needed_questions(0.5, 0.1) == needed_questions(0.5, 0.5)
    with pytest.raises(ValueError, match="a difference of 0"):
        needed_questions(0, 0.3)
