"""Inverse-CDF sampling: the right distribution, the right logprobs, no edge that draws the impossible."""

import pytest
import torch

from agent.sampling.sample_tokens import Draw, sample_rows, sample_tokens


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


def test_rows_are_drawn_each_by_its_own_settings_as_if_alone():
    logits = torch.randn(60, 20, generator=torch.Generator().manual_seed(1)) * 3
    uniforms = torch.linspace(0, 0.999, 60)
    kinds = [Draw(0.0), Draw(0.7), Draw(1.0, 0.5), Draw(1.0)]
    draws = [kinds[row % 4] for row in range(60)]
    tokens, logprobs = sample_rows(logits.clone(), uniforms, draws)
    for row, draw in enumerate(draws):
        one = slice(row, row + 1)
        alone = sample_tokens(logits[one].clone(), uniforms[one], draw.temperature, draw.top_p)
        assert (tokens[row], logprobs[row]) == (alone[0][0], alone[1][0])


@pytest.mark.parametrize(("top_p", "kept"), [(1e-9, 1), (0.5, 1), (0.6, 2), (0.8, 2), (0.9, 3), (0.97, 4), (1.0, 5)])
def test_a_nucleus_is_the_fewest_likely_tokens_that_reach_its_share(top_p, kept):
    shares = torch.tensor([0.06, 0.5, 0.03, 0.3, 0.11])
    count = 10_000
    uniforms = (torch.arange(count) + 0.5) / count
    tokens, logprobs = sample_tokens(shares.log().expand(count, -1).clone(), uniforms, 1.0, top_p)
    best = shares.argsort(descending=True)[:kept]
    assert set(tokens.tolist()) == set(best.tolist())
    frequencies = torch.bincount(tokens, minlength=5) / count
    torch.testing.assert_close(frequencies[best], shares[best] / shares[best].sum(), rtol=0, atol=2e-4)
    torch.testing.assert_close(logprobs, shares.log()[tokens], rtol=0, atol=1e-5)
