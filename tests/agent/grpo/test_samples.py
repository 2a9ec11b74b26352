from __future__ import annotations

import math

import pytest

from agent.grpo.samples import TrainingSample
from agent.policy import TokenTrace


def test_a_sample_of_a_trace_holds_the_sampled_ids_unchanged():
    trace = TokenTrace()
    trace.extend([5, 6])
    trace.extend([7], [-0.5])
    trace.extend([8])
    trace.extend([9, 2], [-1.0, 0.0])
    sample = TrainingSample.from_trace(trace, advantage=0.25, policy_version=3)
    assert sample.token_ids == (5, 6, 7, 8, 9, 2)
    assert sample.action_mask == (0, 0, 1, 0, 1, 1)
    assert sample.logprobs == (0.0, 0.0, -0.5, 0.0, -1.0, 0.0)
    assert (sample.advantage, sample.policy_version, sample.num_actions, sample.num_inputs) == (0.25, 3, 3, 5)


@pytest.mark.parametrize(
    ("ids", "mask", "logprobs", "advantage"),
    [
        ((1, 2), (0,), (0.0, 0.0), 0.0),
        ((1, 2), (0, 1), (0.0,), 0.0),
        ((1, 2), (0, 2), (0.0, 0.0), 0.0),
        ((1, 2), (1, 1), (0.0, 0.0), 0.0),
        ((1, 2), (0, 1), (0.0, -math.inf), 0.0),
        ((1, 2), (0, 1), (0.0, 0.0), math.nan),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused_at_birth(ids, mask, logprobs, advantage):
    with pytest.raises(ValueError, match=r"differ|mask|sampled|finite"):
        TrainingSample(ids, mask, logprobs, advantage)
