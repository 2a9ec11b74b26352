"""One optimiser step: gradients of the sampled tokens only, and weights left alone when numbers are not finite."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from agent.grpo.loss import LossConfig
from agent.grpo.samples import TrainingSample
from agent.grpo.update import update
from agent.segment_attention import enable_segment_attention
from tests.agent.grpo.builders import make_model, make_samples

OPTIONS = {"temperature": 1.0, "max_tokens": 128, "grad_clip": 1e9}
ON_POLICY = LossConfig(weight_high=1e6)


def gradients(samples, *, config=ON_POLICY, **options):
    """The step's gradient by parameter: what SGD with rate 1 subtracts."""
    model = make_model("llama")
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    enable_segment_attention(model)
    done = update(model, torch.optim.SGD(model.parameters(), lr=1.0), samples, config, **{**OPTIONS, **options})
    assert done.is_finite
    return {name: before[name] - value.detach() for name, value in model.named_parameters()}, done


def largest(first, second):
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def norm(found):
    return math.sqrt(sum(float(value.square().sum()) for value in found.values()))


def reference_gradients(samples):
    """The same by a plain forward of one sequence at a time, masked: REINFORCE with importance weights."""
    model = make_model("llama")
    count = sum(sample.num_actions for sample in samples)
    total = torch.zeros(())
    for sample in samples:
        ids, mask = torch.tensor([sample.token_ids]), torch.tensor(sample.action_mask[1:], dtype=torch.float32)
        logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        ratio = (logprobs.detach() - torch.tensor(sample.logprobs[1:])).exp()
        total = total - (ratio * sample.advantage * logprobs * mask).sum() / count
    total.backward()
    return {name: value.grad for name, value in model.named_parameters()}


def test_the_gradient_is_that_of_the_masked_tokens():
    samples = make_samples(5)
    expected = reference_gradients(samples)
    found, done = gradients(samples)
    assert largest(found, expected) < 1e-5 * max(1.0, norm(expected))
    assert done.grad_norm == pytest.approx(norm(expected), rel=1e-4)


def test_targets_off_the_mask_do_not_reach_the_gradient():
    samples = make_samples(4)
    tail = [
        TrainingSample((*s.token_ids, 1, 2, 3), (*s.action_mask, 0, 0, 0), (*s.logprobs, 0, 0, 0), s.advantage)
        for s in samples
    ]
    other = [replace(s, token_ids=(*s.token_ids[:-3], 90, 91, 92)) for s in tail]
    first, second = gradients(tail)[0], gradients(other)[0]
    assert norm(first) > 0
    assert largest(first, second) == 0.0
    sampled = [replace(s, token_ids=(s.token_ids[0], 5, *s.token_ids[2:])) for s in tail]  # position 1 is sampled
    assert largest(first, gradients(sampled)[0]) > 0


@pytest.mark.parametrize("max_tokens", [48, 80, 4096])
def test_micro_batches_bound_memory_and_not_the_result(max_tokens):
    samples = make_samples(7)
    whole, done = gradients(samples, max_tokens=4096)
    cut, same = gradients(samples, max_tokens=max_tokens)
    assert largest(whole, cut) < 1e-6 * max(1.0, norm(whole))
    assert done.loss == pytest.approx(same.loss, abs=1e-5)
    assert done.statistics.num_tokens == same.statistics.num_tokens == sum(s.num_actions for s in samples)


def test_no_advantage_means_no_gradient():
    found, done = gradients([replace(sample, advantage=0.0) for sample in make_samples(4)])
    assert norm(found) == 0.0
    assert done.grad_norm == 0.0


def test_what_was_better_than_its_group_becomes_likelier():
    model = make_model("llama")
    enable_segment_attention(model)
    good, bad = (replace(sample, advantage=value) for sample, value in zip(make_samples(2), (1.0, -1.0), strict=True))

    def likelihood(sample):
        plain = make_model("llama")
        plain.load_state_dict(model.state_dict())
        ids, mask = torch.tensor([sample.token_ids]), torch.tensor(sample.action_mask[1:], dtype=torch.float32)
        with torch.no_grad():
            logprobs = plain(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        return float((logprobs * mask).sum())

    before = likelihood(good), likelihood(bad)
    update(
        model, torch.optim.SGD(model.parameters(), lr=0.01), [good, bad], LossConfig(), **{**OPTIONS, "grad_clip": 1.0}
    )
    assert likelihood(good) > before[0]
    assert likelihood(bad) < before[1]


@pytest.mark.parametrize("limit", [0.01, 1e9])
def test_the_gradient_is_clipped_to_its_limit(limit):
    found, done = gradients(make_samples(3), grad_clip=limit)
    assert norm(found) == pytest.approx(min(limit, done.grad_norm), rel=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing_and_says_so(value):
    model = make_model("llama")
    enable_segment_attention(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    samples = make_samples(3)
    assert update(model, optimizer, samples, LossConfig(), **OPTIONS).is_finite
    with torch.no_grad():
        model.lm_head.weight[3] = value
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    done = update(model, optimizer, samples, LossConfig(), **OPTIONS)
    assert not done.is_finite
    assert all(
        torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items() if "lm_head" not in name
    )
    assert all(torch.equal(old, state["exp_avg"]) for old, state in zip(moments, optimizer.state.values(), strict=True))


def test_a_step_without_samples_changes_nothing():
    found, done = gradients([])
    assert norm(found) == 0.0
    assert (done.num_tokens, done.loss, done.statistics.num_tokens) == (0, 0.0, 0)
