from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.grpo.advantages import has_spread, step_advantages

rewards = st.lists(st.one_of(st.none(), st.floats(-10, 10)), min_size=1, max_size=16)
scales = st.sampled_from(["none", "std", "batch"])
baselines = st.sampled_from(["mean", "leave_one_out"])


def group_advantages(rewards, scale="none", baseline="mean"):
    """Those of a step that is a single group."""
    return step_advantages([rewards], scale, baseline)[0]


@given(st.lists(rewards, max_size=5), scales, baselines)
def test_advantages_of_a_group_sum_to_zero(groups, scale, baseline):
    for advantages in step_advantages(groups, scale, baseline):
        assert math.fsum(advantages) == pytest.approx(0, abs=1e-5)


@given(st.floats(-10, 10), st.integers(1, 16), scales, baselines)
def test_a_group_without_spread_gets_exact_zeros(reward, size, scale, baseline):
    assert group_advantages([reward] * size, scale, baseline) == [0.0] * size
    assert step_advantages([[reward] * size, [0.0, 1.0]], scale, baseline)[0] == [0.0] * size
    assert not has_spread([reward] * size)


def test_unscorable_rollouts_are_masked_and_do_not_move_the_mean():
    assert group_advantages([1.0, None, 0.0, None]) == [0.5, 0.0, -0.5, 0.0]
    assert group_advantages([None, None]) == [0.0, 0.0]
    assert not has_spread([1.0, None])


def test_the_order_of_advantages_is_the_order_of_rewards():
    advantages = group_advantages([-1.0, 0.0, 1.2, 1.0])
    assert advantages == pytest.approx([-1.3, -0.3, 0.9, 0.7])


def test_std_scaling_gives_unit_deviation():
    advantages = group_advantages([-1.0, 0.0, 1.0, 2.0], "std")
    assert math.sqrt(math.fsum(a * a for a in advantages) / 4) == pytest.approx(1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        group_advantages([1.0, bad])


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8))
def test_leaving_one_out_compares_with_the_mean_of_the_others(group):
    for place, advantage in enumerate(group_advantages(group, baseline="leave_one_out")):
        others = group[:place] + group[place + 1 :]
        assert advantage == pytest.approx(group[place] - math.fsum(others) / len(others), abs=1e-9)


def test_batch_scaling_divides_by_the_deviation_of_all_rewards_that_differ():
    groups = [[0.0, 1.0], [5.0, 5.0], [None, 2.0, 4.0]]
    rewards = [0.0, 1.0, 2.0, 4.0]
    spread = math.sqrt(sum((reward - 1.75) ** 2 for reward in rewards) / 4)
    wanted = [[-0.5, 0.5], [0.0, 0.0], [0.0, -1.0, 1.0]]
    for found, row in zip(step_advantages(groups, "batch"), wanted, strict=True):
        assert found == pytest.approx([value / spread for value in row])


@pytest.mark.parametrize("tiny", [1e-3, 1e-170, 1e-300, 5e-324])
@pytest.mark.parametrize("scale", ["std", "batch"])
def test_the_smallest_difference_is_scaled_without_a_division_by_zero(scale, tiny):
    assert group_advantages([0.0, 2 * tiny], scale) == pytest.approx([-1.0, 1.0])
