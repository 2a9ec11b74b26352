from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.grpo.packing import pack
from agent.grpo.samples import TrainingSample
from tests.agent.grpo.builders import make_sample, make_samples


def with_prefix(sample, other, length):
    """Return `sample` as if it began as `other` does."""
    begun = other.token_ids[: min(length, len(sample.token_ids))]
    return replace(sample, token_ids=(*begun, *sample.token_ids[len(begun) :]))


lengths = st.lists(st.integers(2, 60), max_size=20)


@settings(max_examples=100, deadline=None)
@given(lengths, st.integers(60, 200), st.booleans())
def test_packing_loses_no_sampled_token_and_fits_the_limit(lengths, max_tokens, share_prefixes):
    stream = random.Random(len(lengths))
    samples = [make_sample(stream, length) for length in lengths]
    samples += [with_prefix(sample, samples[0], 20) for sample in samples[1:]]
    batches = pack(samples, max_tokens, share_prefixes=share_prefixes)
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


def test_a_shared_beginning_is_read_once_and_predicts_for_each_sequence():
    one = TrainingSample((3, 4, 5, 6, 7), (0, 0, 1, 0, 1), (0.0, 0.0, -1.0, 0.0, -2.0), 0.5)
    other = TrainingSample((3, 4, 8, 9), (0, 0, 1, 1), (0.0, 0.0, -1.0, -3.0), -0.5)
    (batch,) = pack([one, other], 100, share_prefixes=True)
    assert batch.token_ids.tolist() == [[3, 4, 5, 6, 8]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 2]]
    assert (batch.segment_lengths, batch.segment_parents) == ((2, 2, 1), (-1, 0, 0))
    assert batch.action_positions.tolist() == [1, 3, 1, 4]
    assert batch.target_ids.tolist() == [5, 7, 8, 9]
    assert (batch.sequence_ids.tolist(), batch.num_sequences) == ([0, 0, 1, 1], 2)


def test_sharing_is_given_up_where_it_would_save_nothing():
    samples = make_samples(6)
    assert pack(samples, 500, share_prefixes=True)[0].segment_parents == ()
