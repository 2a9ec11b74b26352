from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.grpo.packing import pack
from agent.grpo.samples import TrainingSample
from tests.agent.grpo.builders import make_sample, make_samples

lengths = st.lists(st.integers(2, 60), max_size=20)


@settings(max_examples=50, deadline=None)
@given(lengths, st.integers(60, 200))
def test_packing_loses_no_sampled_token_and_fits_the_limit(lengths, max_tokens):
    stream = random.Random(len(lengths))
    samples = [make_sample(stream, length) for length in lengths]
    batches = pack(samples, max_tokens)
    assert all(0 < batch.num_tokens <= max_tokens for batch in batches)
    expected = sorted(
        (token, logprob, sample.advantage)
        for sample in samples
        for token, mask, logprob in zip(sample.token_ids, sample.action_mask, sample.logprobs, strict=True)
        if mask
    )
    packed = sorted(
        row
        for batch in batches
        for row in zip(batch.target_ids.tolist(), batch.old_logprobs.tolist(), batch.advantages.tolist(), strict=True)
    )
    torch.testing.assert_close(torch.tensor(packed), torch.tensor(expected))


def test_each_predicting_position_is_right_before_its_sampled_token():
    sample = TrainingSample((3, 4, 5, 6, 7), (0, 0, 1, 0, 1), (0.0, 0.0, -1.0, 0.0, -2.0), 0.5)
    (batch,) = pack([sample, sample], 100)
    assert batch.token_ids.tolist() == [[3, 4, 5, 6, 3, 4, 5, 6]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3]]
    assert batch.segment_lengths == (4, 4)
    assert batch.action_positions.tolist() == [1, 3, 5, 7]
    assert batch.target_ids.tolist() == [5, 7, 5, 7]


def test_tokens_after_the_last_sampled_one_are_not_computed():
    sample = TrainingSample((3, 4, 5, 6, 7), (0, 1, 0, 0, 0), (0.0, -1.0, 0.0, 0.0, 0.0), 0.5)
    (batch,) = pack([sample], 100)
    assert batch.token_ids.tolist() == [[3]]


def test_micro_batches_are_balanced():
    batches = pack(make_samples(40), 200)
    sizes = [batch.num_tokens for batch in batches]
    assert max(sizes) - min(sizes) <= 40


def test_samples_without_sampled_tokens_are_left_out():
    assert pack([TrainingSample((3, 4), (0, 0), (0.0, 0.0), 0.5)], 10) == []
    assert pack([], 10) == []


def test_a_sample_longer_than_a_micro_batch_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        pack(make_samples(), 8)


def test_packing_depends_on_the_samples_only():
    first, second = pack(make_samples(), 100), pack(make_samples(), 100)
    assert all(torch.equal(a.token_ids, b.token_ids) for a, b in zip(first, second, strict=True))
