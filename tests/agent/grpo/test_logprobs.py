from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from agent.grpo.logprobs import action_logprobs, chunked_logprobs, hidden_states, summed_nll
from agent.grpo.packing import pack
from agent.segment_attention import SEGMENT_ATTENTION, enable_segment_attention
from inbox_env.errors import UsageError
from tests.agent.grpo.builders import SHAPES, make_model, make_samples


def reference_logprobs(model, sample, temperature=1.0):
    """One sequence on its own, with the logits of every token."""
    logits = model(input_ids=torch.tensor([sample.token_ids])).logits[0, :-1] / temperature
    distribution = torch.distributions.Categorical(logits=logits)
    sampled = torch.tensor(sample.action_mask[1:]).bool()
    return distribution.log_prob(torch.tensor(sample.token_ids[1:]))[sampled], distribution.entropy()[sampled]


def packed(model, samples, temperature=1.0, **options):
    enable_segment_attention(model)
    parts = [action_logprobs(model, batch, temperature, **options) for batch in pack(samples, 90)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_packed_logprobs_and_gradients_equal_each_sequence_alone(kind, temperature):
    samples = make_samples()
    model = make_model(kind)
    parts = [reference_logprobs(model, sample, temperature) for sample in samples]
    wanted, entropy = (torch.cat(column) for column in zip(*parts, strict=True))
    wanted.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    got, got_entropy = packed(model, samples, temperature, chunk_tokens=7)
    got.square().sum().backward()
    torch.testing.assert_close(got.sort()[0], wanted.sort()[0], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(got_entropy.sort()[0], entropy.sort()[0], atol=2e-5, rtol=1e-5)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", SHAPES)
def test_reading_a_shared_beginning_once_gives_the_logprobs_and_gradients_of_reading_it_again(kind):
    first, *rest = make_samples()
    longest = max([first, *rest], key=lambda sample: len(sample.token_ids))
    common = longest.token_ids[: len(longest.token_ids) // 2]
    samples = [replace(one, token_ids=(*common, *one.token_ids)[: len(one.token_ids)]) for one in (first, *rest)]
    model = make_model(kind)
    enable_segment_attention(model)
    results = []
    for share_prefixes in (False, True):
        model.zero_grad()
        batches = pack(samples, 90, share_prefixes=share_prefixes)
        parts = [action_logprobs(model, batch)[0] for batch in batches]
        torch.cat(parts).square().sum().backward()
        results.append((torch.cat(parts).sort()[0], [parameter.grad.clone() for parameter in model.parameters()]))
    assert any(batch.segment_parents for batch in batches)
    (apart, apart_gradients), (shared, shared_gradients) = results
    torch.testing.assert_close(shared, apart, atol=2e-5, rtol=1e-5)
    for one, other in zip(shared_gradients, apart_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("share_prefixes", [False, True])
@torch.no_grad()
def test_flex_attention_sees_what_segments_see(kind, share_prefixes):
    samples = make_samples(4)
    samples += [replace(samples[0], advantage=0.5)]
    model = make_model(kind)
    batches = pack(samples, 500, share_prefixes=share_prefixes)
    found = []
    for attention in ("segments", "flex"):
        enable_segment_attention(model, attention)
        enable_segment_attention(model)  # what is enabled stays
        found.append(torch.cat([action_logprobs(model, batch)[0] for batch in batches]))
    torch.testing.assert_close(found[1], found[0], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_summed_loss_and_its_gradient_are_those_of_the_logprobs(kind):
    model = make_model(kind)
    enable_segment_attention(model)
    batch = pack(make_samples(), 4096)[0]
    gradients = []
    for is_summed in (True, False):
        model.zero_grad()
        states = hidden_states(model, batch)[0, batch.action_positions]
        if is_summed:
            loss = summed_nll(model, states, batch.target_ids)
        else:
            loss = -chunked_logprobs(states, model.get_output_embeddings(), batch.target_ids)[0].sum()
        loss.backward()
        gradients.append((loss.item(), [parameter.grad.clone() for parameter in model.parameters()]))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-5)
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_no_segment_sees_another():
    model = make_model()
    samples = make_samples(3)
    alone, _ = packed(model, samples[:1])
    together, _ = packed(model, samples[:1] + samples[1:])
    assert any(torch.allclose(window, alone, atol=1e-5) for window in together.unfold(0, len(alone), 1))


def test_no_mask_of_all_pairs_is_built(monkeypatch):
    model = make_model()
    enable_segment_attention(model)
    seen = []
    layer = model.model.layers[0]
    layer.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["attention_mask"]), with_kwargs=True)
    action_logprobs(model, pack(make_samples(), 500)[0])
    assert model.config._attn_implementation == SEGMENT_ATTENTION
    assert seen == [None]


def test_off_the_mask_the_gradient_is_zero():
    model = make_model()
    enable_segment_attention(model)
    (batch,) = pack(make_samples(2), 500)
    states = torch.randn(batch.num_tokens, 32, requires_grad=True)
    logprobs, _ = chunked_logprobs(
        states.index_select(0, batch.action_positions), model.get_output_embeddings(), batch.target_ids
    )
    logprobs.sum().backward()
    touched = states.grad.abs().sum(-1).nonzero()[:, 0]
    assert set(touched.tolist()) == set(batch.action_positions.tolist())


def test_logprobs_are_float32_whatever_the_model_is():
    logprobs, entropy = packed(make_model(dtype=torch.bfloat16), make_samples())
    assert logprobs.dtype == entropy.dtype == torch.float32


def test_no_sampled_token_gives_empty_logprobs():
    logprobs, entropy = chunked_logprobs(torch.zeros(0, 8), torch.nn.Linear(8, 5), torch.zeros(0, dtype=torch.long))
    assert logprobs.shape == entropy.shape == (0,)


def test_forgotten_segment_lengths_are_an_error_and_not_a_wrong_answer():
    model = make_model()
    enable_segment_attention(model)
    with pytest.raises(ValueError, match="segment_lengths"):
        model(input_ids=torch.tensor([[1, 2, 3]]))
    with pytest.raises(ValueError, match="do not cover"):
        model(input_ids=torch.tensor([[1, 2, 3]]), segment_lengths=(2,))


def test_a_model_whose_layers_mix_segments_is_refused():
    model = make_model()
    model.config.layer_types = ["conv", "full_attention"]
    with pytest.raises(UsageError, match="packed"):
        enable_segment_attention(model)


class Hooked(torch.nn.Linear):
    """A head that is more than its weight, and therefore has to be called."""


def all_logits(hidden, head, targets, temperature):
    """The plain way, for all tokens at once."""
    distribution = torch.distributions.Categorical(logits=head(hidden) / temperature)
    return distribution.log_prob(targets), distribution.entropy()


def head_gradients(method, head_class, temperature, has_bias, **options):
    torch.manual_seed(1)
    head = head_class(12, 301, bias=has_bias).double()
    hidden = torch.randn(50, 12, dtype=torch.double, requires_grad=True)
    targets, share = torch.randint(301, (50,)), torch.randn(50)
    logprobs, entropy = method(hidden, head, targets, temperature, **options)
    (logprobs * share).sum().backward()
    return logprobs.detach(), entropy.detach(), hidden.grad, *(parameter.grad for parameter in head.parameters())


@pytest.mark.parametrize("head_class", [torch.nn.Linear, Hooked])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("size", [None, 1, 7, 50, 64])
def test_chunks_give_the_gradients_of_the_whole(head_class, has_bias, temperature, size):
    whole = head_gradients(all_logits, torch.nn.Linear, temperature, has_bias)
    found = head_gradients(chunked_logprobs, head_class, temperature, has_bias, chunk_tokens=size)
    assert len(found) == len(whole) == 4 + has_bias
    for mine, theirs in zip(found, whole, strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("fused", [0, 1 << 40])
def test_the_vocabulary_gradient_is_the_same_with_and_without_a_temporary(monkeypatch, fused):
    monkeypatch.setattr("agent.grpo.logprobs.FUSED_WEIGHTS", fused)
    whole = head_gradients(all_logits, torch.nn.Linear, 1.0, False)
    found = head_gradients(chunked_logprobs, torch.nn.Linear, 1.0, False, chunk_tokens=9)
    torch.testing.assert_close(found[3], whole[3], atol=1e-6, rtol=1e-6)


def test_a_linear_head_rounds_exactly_as_one_that_is_called():
    """A run that was begun with one of the two ways goes on bit for bit with the other."""
    torch.manual_seed(0)
    hidden, targets, share = torch.randn(700, 40), torch.randint(900, (700,)), torch.randn(700)
    found = []
    for head_class in (torch.nn.Linear, Hooked):
        torch.manual_seed(1)
        head, states = head_class(40, 900, bias=False), hidden.clone().requires_grad_()
        logprobs, entropy = chunked_logprobs(states, head, targets, 0.8, 512)
        (logprobs * share).sum().backward()
        found.append((logprobs, entropy, states.grad, head.weight.grad))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))


def test_a_head_that_is_not_trained_costs_no_gradient_of_it():
    head = torch.nn.Linear(8, 30).requires_grad_(False)
    hidden = torch.randn(6, 8, requires_grad=True)
    chunked_logprobs(hidden, head, torch.randint(30, (6,)))[0].sum().backward()
    assert head.weight.grad is None
    assert hidden.grad.abs().sum() > 0


MEMORY = """
import resource, torch
from agent.grpo.logprobs import chunked_logprobs
torch.set_num_threads(1)
tokens, vocabulary = 2048, 131072
head = torch.nn.Linear(16, vocabulary, bias=False)
hidden, targets = torch.randn(tokens, 16, requires_grad=True), torch.randint(vocabulary, (tokens,))
chunked_logprobs(hidden[:2], head, targets[:2])[0].sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
chunked_logprobs(hidden, head, targets)[0].sum().backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_the_logits_of_a_large_vocabulary_are_never_all_there():
    """All logits would take 1,024 MiB, and as much again for their gradient."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", MEMORY], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300
