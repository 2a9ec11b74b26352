from __future__ import annotations

import numpy as np
import pytest
import torch

from agent.grpo.loss import LossConfig, LossStatistics, k3, policy_loss

CONFIGS = [
    LossConfig(),
    LossConfig(weight_low=0.4, weight_high=1.5),
    LossConfig(kind="ppo_clip"),
    LossConfig(kind="ppo_clip", kl=0.1),
    LossConfig(kl=0.1),
]


def make_tokens(num_tokens=200, seed=0):
    stream = np.random.default_rng(seed)
    old = -stream.exponential(1.0, num_tokens)
    new = old + stream.normal(0, 0.7, num_tokens)
    return new, old, stream.normal(0, 1, num_tokens), new + stream.normal(0, 0.3, num_tokens)


def numpy_loss_and_gradient(config, new, old, advantages, ref, count):
    """The losses written down a second time, with gradients by hand."""
    ratio = np.exp(new - old)
    if config.kind == "cispo":
        weight = np.minimum(np.maximum(ratio, config.weight_low), config.weight_high)
        losses, gradient = -weight * advantages * new, -weight * advantages
    else:
        low, high = 1 - config.clip_low, 1 + config.clip_high
        is_limited = ((advantages > 0) & (ratio > high)) | ((advantages < 0) & (ratio < low))
        losses = -np.where(is_limited, np.clip(ratio, low, high), ratio) * advantages
        gradient = np.where(is_limited, 0.0, -ratio * advantages)
    losses = losses + config.kl * (np.exp(ref - new) - (ref - new) - 1)
    gradient = gradient + config.kl * (1 - np.exp(ref - new))
    return losses.sum() / count, gradient / count


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_loss_and_gradient_equal_an_independent_numpy_version(config):
    tokens = make_tokens()
    wanted, wanted_gradient = numpy_loss_and_gradient(config, *tokens, count=321)
    new, old, advantages, ref = (torch.tensor(column) for column in tokens)
    loss, _ = policy_loss(config, new.requires_grad_(), old, advantages, 321, ref_logprobs=ref)
    loss.backward()
    assert loss.item() == pytest.approx(wanted)
    np.testing.assert_allclose(new.grad.numpy(), wanted_gradient, atol=1e-12)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_splitting_a_step_into_micro_batches_changes_nothing(config):
    new, old, advantages, ref = (torch.tensor(column) for column in make_tokens())
    whole, statistics = policy_loss(config, new, old, advantages, 200, ref_logprobs=ref)
    parts = [
        policy_loss(config, new[s], old[s], advantages[s], 200, ref_logprobs=ref[s])
        for s in (slice(0, 30), slice(30, 31), slice(31, 200))
    ]
    assert sum(loss.item() for loss, _ in parts) == pytest.approx(whole.item())
    total = sum((part for _, part in parts), LossStatistics())
    assert total.means() == pytest.approx(statistics.means())


@pytest.mark.parametrize("kind", ["cispo", "ppo_clip"])
def test_on_policy_both_losses_give_the_plain_policy_gradient(kind):
    _, old, advantages, _ = (torch.tensor(column) for column in make_tokens())
    new = old.clone().requires_grad_()
    loss, statistics = policy_loss(LossConfig(kind=kind), new, old, advantages, 200)
    loss.backward()
    torch.testing.assert_close(new.grad, -advantages / 200)
    assert statistics.means() == {"ratio_mean": 1.0, "clip_fraction": 0.0, "kl": 0.0, "ref_kl": 0.0, "entropy": 0.0}


def test_clip_fraction_counts_the_tokens_that_were_limited():
    old = torch.zeros(4)
    new = torch.tensor([1.5, 1.5, 3.0, 0.7]).log()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    _, ppo = policy_loss(LossConfig(kind="ppo_clip"), new, old, advantages, 4)
    _, cispo = policy_loss(LossConfig(weight_high=2.0), new, old, advantages, 4)
    assert ppo.means()["clip_fraction"] == pytest.approx(3 / 4)
    assert cispo.means()["clip_fraction"] == pytest.approx(1 / 4)


def test_a_masked_rollout_stays_masked_however_far_the_policy_moved():
    new = torch.tensor([500.0], requires_grad=True)
    for kind in ("cispo", "ppo_clip"):
        loss, _ = policy_loss(LossConfig(kind=kind), new, torch.tensor([-500.0]), torch.tensor([0.0]), 1)
        loss.backward()
        assert loss.item() == 0
        assert new.grad.item() == 0


def test_k3_is_zero_where_policies_agree_and_positive_elsewhere():
    new, old, _, _ = (torch.tensor(column) for column in make_tokens())
    assert torch.equal(k3(new, new), torch.zeros_like(new))
    assert (k3(new, old) > 0).all()


def test_a_kl_weight_without_reference_is_refused():
    new, old, advantages, _ = (torch.tensor(column) for column in make_tokens())
    with pytest.raises(ValueError, match="ref_logprobs"):
        policy_loss(LossConfig(kl=0.1), new, old, advantages, 200)
