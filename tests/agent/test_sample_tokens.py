"""Inverse-CDF sampling: the right distribution, the right logprobs, no edge that draws the impossible."""

import pytest
import torch

from agent.sampling.sample_tokens import sample_tokens


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_frequencies_follow_the_softmax_at_the_temperature(temperature):
    logits = torch.tensor([2.0, -1.0, 0.5, 0.0, -30.0])
    count = 100_000
    uniforms = (torch.arange(count) + 0.5) / count
    tokens, _ = sample_tokens(logits.expand(count, -1).clone(), uniforms, temperature)
    frequencies = torch.bincount(tokens, minlength=5) / count
    torch.testing.assert_close(frequencies, torch.softmax(logits / temperature, -1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_logprobs_are_the_log_softmax_of_the_drawn_token(temperature):
    logits = torch.randn(200, 50, generator=torch.Generator().manual_seed(0)) * 5
    tokens, logprobs = sample_tokens(logits.clone(), torch.linspace(0, 0.999, 200), temperature)
    expected = torch.log_softmax(logits / temperature, -1).gather(-1, tokens[:, None])[:, 0]
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
def test_a_token_of_weight_zero_is_never_drawn(uniform):
    logits = torch.full((1, 40), -torch.inf)
    logits[0, 7] = 3.0
    tokens, logprobs = sample_tokens(logits, torch.tensor([uniform]), 1.0)
    assert (tokens.item(), logprobs.item()) == (7, 0.0)


def test_temperature_zero_is_greedy_with_logprobs_at_one():
    logits = torch.randn(30, 20, generator=torch.Generator().manual_seed(1))
    tokens, logprobs = sample_tokens(logits.clone(), torch.rand(30), 0.0)
    assert torch.equal(tokens, logits.argmax(-1))
    torch.testing.assert_close(logprobs, torch.log_softmax(logits, -1).max(-1).values)


def test_the_logits_are_left_as_they_were():
    logits = torch.randn(3, 9)
    before = logits.clone()
    sample_tokens(logits, torch.rand(3), 1.0)
    assert torch.equal(logits, before)


def test_nan_logits_show_in_the_logprob():
    tokens, logprobs = sample_tokens(torch.full((1, 9), torch.nan), torch.tensor([0.5]), 1.0)
    assert 0 <= tokens.item() < 9
    assert logprobs.isnan().item()
