"""What every loss must keep through a whole update: masks, the order of samples, and how a step is cut."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from agent.grpo.loss import LossConfig
from agent.grpo.update import update
from agent.segment_attention import enable_segment_attention
from tests.agent.grpo.builders import make_model, make_samples
from tests.agent.grpo.test_scoring import nearly_own_logprobs

CONFIGS = {
    "grpo": LossConfig(kind="grpo"),
    "dr_grpo": LossConfig(kind="dr_grpo"),
    "dapo": LossConfig(kind="dapo"),
    "gspo": LossConfig(kind="gspo", clip_low=0.1, clip_high=0.1),
    "cispo": LossConfig(kind="cispo", weight_high=1.2),
    "grpo corrected": LossConfig(kind="grpo", mismatch="sequence_truncate"),
    "dapo of forks": LossConfig(kind="dapo", top_entropy=0.4, mismatch="token_mask"),
}


def gradient(samples, config, max_tokens=4096):
    """What SGD with rate 1 subtracts, by parameter, and what the update reports."""
    model = make_model("llama")
    enable_segment_attention(model)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    done = update(
        model,
        optimizer,
        samples,
        config,
        temperature=1.0,
        max_tokens=max_tokens,
        grad_clip=1e9,
        max_sequence_tokens=50,
    )
    assert done.is_finite
    return {name: before[name] - value.detach() for name, value in model.named_parameters()}, done


def assert_same(first, second):
    size = max(float(value.abs().max()) for value in first.values())
    assert size > 0
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=2e-6 * max(size, 1.0), rtol=1e-4)


@pytest.fixture(scope="module")
def samples():
    """Samples of a policy that moved a little since it sampled them."""
    return nearly_own_logprobs(make_samples(9), noise=0.2)


@pytest.mark.parametrize("name", CONFIGS)
def test_neither_micro_batches_nor_the_order_of_samples_change_the_gradient(samples, name):
    whole, done = gradient(samples, CONFIGS[name])
    shuffled = random.Random(3).sample(samples, len(samples))
    for max_tokens, order in ((48, samples), (90, samples), (90, shuffled), (4096, shuffled)):
        cut, same = gradient(order, CONFIGS[name], max_tokens)
        assert_same(whole, cut)
        assert same.loss == pytest.approx(done.loss, abs=1e-5)
        assert same.statistics.means() == pytest.approx(done.statistics.means(), abs=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_not_sampled_is_not_learnt(samples, name):
    tailed = [
        replace(
            one,
            token_ids=(*one.token_ids, 7),
            action_mask=(*one.action_mask, 0),
            logprobs=(*one.logprobs, 0.0),
        )
        for one in samples
    ]
    other = [replace(one, token_ids=(*one.token_ids[:-1], 90)) for one in tailed]
    first, second = gradient(tailed, CONFIGS[name])[0], gradient(other, CONFIGS[name])[0]
    assert all(torch.equal(value, second[parameter]) for parameter, value in first.items())


@pytest.mark.parametrize("name", CONFIGS)
def test_no_advantage_means_no_gradient(samples, name):
    found, done = gradient([replace(one, advantage=0.0) for one in samples], CONFIGS[name])
    assert not any(value.any() for value in found.values())
    assert (done.grad_norm, done.loss) == (0.0, 0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_rollout_without_advantage_among_others_has_no_say(samples, name):
    """But in a mean over tokens it dilutes theirs, which is why groups without spread are left out."""
    quiet = [replace(one, advantage=0.0) if place == 4 else one for place, one in enumerate(samples)]
    changed = list(quiet)
    changed[4] = replace(quiet[4], logprobs=tuple(0.9 * logprob for logprob in quiet[4].logprobs))
    assert_same(gradient(quiet, CONFIGS[name])[0], gradient(changed, CONFIGS[name])[0])
