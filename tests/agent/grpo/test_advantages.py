from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.grpo.advantages import group_advantages, has_spread

rewards = st.lists(st.one_of(st.none(), st.floats(-10, 10)), min_size=1, max_size=16)
scales = st.sampled_from(["none", "std"])


@given(rewards, scales)
def test_advantages_of_a_group_sum_to_zero(group, scale):
    assert math.fsum(group_advantages(group, scale)) == pytest.approx(0, abs=1e-6)


@given(st.floats(-10, 10), st.integers(1, 16), scales)
def test_a_group_without_spread_gets_exact_zeros(reward, size, scale):
    assert group_advantages([reward] * size, scale) == [0.0] * size
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
