"""Guards: a single wild update is refused, and what stays astray is reported once and stops the run if asked."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.grpo.guards import NEEDED, BadRewards, GuardsConfig, SpikeGuard, Thresholds

USUAL = {"trained_tokens": 100, "entropy": 0.5, "kl": 0.001, "ref_kl": 0.0, "mismatch_kl": 0.0001}


def settled_guard(loss=0.1, norm=0.5, **changes):
    guard = SpikeGuard(GuardsConfig(**changes))
    assert [guard(loss, norm) for _ in range(NEEDED)] == [""] * NEEDED
    return guard


@pytest.mark.parametrize("wild", [(math.nan, 1.0), (math.inf, 1.0), (0.1, math.nan), (0.1, math.inf), (-math.inf, 0.0)])
def test_what_is_not_finite_is_refused_from_the_first_update(wild):
    assert "finite" in SpikeGuard(GuardsConfig())(*wild)


@pytest.mark.parametrize(("wild", "word"), [((0.1, 50.1), "norm"), ((1e5, 0.5), ""), ((1.1e5, 0.5), "loss")])
def test_a_spike_is_a_hundred_times_the_usual_norm_or_a_million_times_the_usual_loss(wild, word):
    reason = settled_guard()(*wild)
    assert bool(reason) == bool(word)
    assert word in reason


def test_a_spike_does_not_become_what_is_usual():
    guard = settled_guard()
    assert all(guard(0.1, 60.0) for _ in range(40))
    assert guard(0.1, 0.5) == ""


def test_the_first_updates_may_be_of_any_size_and_empty_ones_say_nothing():
    guard = SpikeGuard(GuardsConfig())
    assert guard(0.1, 1e-6) == guard(0.1, 1e6) == ""
    idle = SpikeGuard(GuardsConfig())
    assert all(idle(0.0, 0.0) == "" for _ in range(40))
    assert idle(0.3, 5.0) == ""


@given(st.lists(st.floats(0.01, 5.0), max_size=60), st.floats(0.0, 1000.0))
def test_a_restored_guard_judges_as_the_saved_one(norms, norm):
    guard = SpikeGuard(GuardsConfig())
    for one in norms:
        guard(0.1, one)
    other = SpikeGuard(GuardsConfig())
    other.restore(json.loads(json.dumps(guard.state())))
    assert other(0.1, norm) == guard(0.1, norm)
    assert other.state() == guard.state()


def test_bad_rewards_are_too_many_beyond_a_twentieth_of_the_last_hundred():
    guard = BadRewards(GuardsConfig())
    assert [guard.note(bad, 16) for bad in (1, 0, 0, 1, 0, 0, 1)] == [False] * 7
    assert [guard.note(0, 16) for _ in range(9)] == [False] * 9
    assert [guard.note(1, 16) for _ in range(7)] == [False] * 5 + [True] * 2
    assert not BadRewards(GuardsConfig()).note(1, 2)
    assert BadRewards(GuardsConfig()).note(2, 16)
    assert BadRewards(GuardsConfig()).note(7, 128)
    assert not BadRewards(GuardsConfig()).note(6, 128)


def test_a_restored_count_of_bad_rewards_goes_on():
    first, second = BadRewards(GuardsConfig()), BadRewards(GuardsConfig())
    first.note(1, 8)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.note(1, 8)


def found(rows, **changes):
    thresholds = Thresholds(GuardsConfig(**changes))
    return [thresholds.check({**USUAL, **row}) for row in rows]


@pytest.mark.parametrize(("metric", "value"), [("entropy", 0.001), ("kl", 0.2), ("ref_kl", 2.0), ("mismatch_kl", 0.02)])
def test_a_metric_that_stays_beyond_its_limit_is_reported_once_and_stops_when_asked(metric, value):
    rows = [{metric: value}] * 6
    assert [len(one) for one in found(rows)] == [0, 0, 1, 0, 0, 0]
    *_, (stop,) = found(rows[:5], stop_after=5)
    assert stop.is_stop
    assert (stop.metric, stop.num_steps) == (metric, 5)
    assert metric in str(stop)
    assert stop.advice
    (warning,) = found(rows[:3], stop_after=5)[-1]
    assert not warning.is_stop


def test_a_step_back_within_the_limits_starts_the_count_anew():
    beyond, within = {"kl": 0.2}, {"kl": 0.05}
    assert not any(found([beyond, beyond, within] * 5))
    assert [len(one) for one in found([beyond] * 3 + [within] + [beyond] * 3)] == [0, 0, 1, 0, 0, 0, 1]


def test_steps_that_trained_on_nothing_and_numbers_that_are_none_say_nothing():
    assert not any(found([{"entropy": 0.0, "trained_tokens": 0}] * 9))
    rows = [{"kl": 0.2}, {"kl": math.nan}, {"kl": 0.2}, {"kl": math.inf}, {"kl": 0.2}]
    assert [len(one) for one in found(rows)] == [0, 0, 0, 0, 1]
    assert Thresholds(GuardsConfig()).check({"trained_tokens": 5}) == []


def test_a_restored_count_goes_on():
    first = Thresholds(GuardsConfig())
    for _ in range(2):
        first.check({**USUAL, "kl": 1.0})
    second = Thresholds(GuardsConfig())
    second.restore(json.loads(json.dumps(first.state())))
    assert len(second.check({**USUAL, "kl": 1.0})) == 1
