"""The losses against a second, independent version in numpy with gradients by hand, and what they must all share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.grpo.loss import LossConfig, LossStatistics, policy_loss
from agent.grpo.losses.averaging import StepSize
from agent.grpo.losses.kl import k3

KINDS = ["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
CLIPPED = [kind for kind in KINDS if kind != "cispo"]
CONFIGS = [
    *(LossConfig(kind=kind) for kind in KINDS),
    *(LossConfig(kind=kind, kl=0.1) for kind in KINDS),
    LossConfig(weight_low=0.4, weight_high=1.5),
    LossConfig(kind="gspo", clip_low=0.1, clip_high=0.3),
    LossConfig(kind="dapo", average="sequences"),
]
MAX_TOKENS = 31  # of one sequence


@dataclass
class Tokens:
    """Random tokens of a few sequences, as numpy float64 [N]."""

    new: np.ndarray
    old: np.ndarray
    advantages: np.ndarray  # the same within a sequence
    ref: np.ndarray
    weights: np.ndarray
    ids: np.ndarray

    @property
    def size(self):
        return StepSize(len(self.ids), int(self.ids.max()) + 1, MAX_TOKENS)

    def of(self, sequences):
        """The tokens of these sequences, renumbered from 0."""
        order = [place for number in sequences for place in np.flatnonzero(self.ids == number)]
        ids = np.concatenate([np.full((self.ids == old).sum(), new) for new, old in enumerate(sequences)])
        return Tokens(*(getattr(self, name)[order] for name in ("new", "old", "advantages", "ref", "weights")), ids)


def make_tokens(num_sequences=12, seed=0, noise=0.7):
    stream = np.random.default_rng(seed)
    ids = np.repeat(np.arange(num_sequences), stream.integers(1, MAX_TOKENS, num_sequences))
    old = -stream.exponential(1.0, len(ids))
    new = old + stream.normal(0, noise, len(ids)) + stream.normal(0, 0.1 * noise, num_sequences)[ids]
    advantages = stream.normal(0, 1, num_sequences)[ids]
    return Tokens(new, old, advantages, new + stream.normal(0, 0.3, len(ids)), stream.uniform(0, 2, len(ids)), ids)


def numpy_loss_and_gradient(config, t, size):
    """The losses written down a second time, with gradients by hand."""
    lengths = np.bincount(t.ids)[t.ids]
    divisor = {
        "tokens": size.num_tokens,
        "sequences": size.num_sequences * lengths,
        "constant": size.num_sequences * size.max_sequence_tokens,
    }[config.average]
    share = np.broadcast_to(t.weights / divisor, t.new.shape)
    ratio = np.exp(t.new - t.old)
    if config.kind == "gspo":
        ratio = np.exp(np.bincount(t.ids, t.new - t.old)[t.ids] / lengths)
    if config.kind == "cispo":
        weight = np.minimum(np.maximum(ratio, config.weight_low), config.weight_high)
        losses, gradient = share * -weight * t.advantages * t.new, share * -weight * t.advantages
    else:
        low, high = 1 - config.clip_low, 1 + config.clip_high
        is_limited = ((t.advantages > 0) & (ratio > high)) | ((t.advantages < 0) & (ratio < low))
        losses = share * -np.where(is_limited, np.clip(ratio, low, high), ratio) * t.advantages
        gradient = np.where(is_limited, 0.0, share * -ratio * t.advantages)
        if config.kind == "gspo":  # the ratio of a sequence depends on each of its tokens
            gradient = np.bincount(t.ids, gradient)[t.ids] / lengths
    losses = losses + config.kl * (np.exp(t.ref - t.new) - (t.ref - t.new) - 1) / divisor
    gradient = gradient + config.kl * (1 - np.exp(t.ref - t.new)) / divisor
    return losses.sum(), gradient


def torch_loss_and_gradient(config, t, size, weights=True):
    new = torch.tensor(t.new, requires_grad=True)
    old, advantages, ref, factor = (torch.tensor(part) for part in (t.old, t.advantages, t.ref, t.weights))
    loss, statistics = policy_loss(
        config,
        new,
        old,
        advantages,
        size,
        sequence_ids=torch.tensor(t.ids),
        weights=factor if weights else None,
        ref_logprobs=ref if config.kl else None,
    )
    loss.backward()
    return loss.item(), new.grad.numpy(), statistics


@pytest.mark.parametrize("noise", [0.0005, 0.7])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.kind}-{config.kl}")
def test_loss_and_gradient_equal_an_independent_numpy_version(config, noise):
    tokens = make_tokens(noise=noise)
    wanted, wanted_gradient = numpy_loss_and_gradient(config, tokens, tokens.size)
    loss, gradient, _ = torch_loss_and_gradient(config, tokens, tokens.size)
    assert loss == pytest.approx(wanted)
    np.testing.assert_allclose(gradient, wanted_gradient, atol=1e-12)
    assert np.abs(gradient).max() > 0


@settings(max_examples=25, deadline=None)
@given(
    config=st.sampled_from(CONFIGS), seed=st.integers(0, 99), order=st.permutations(range(12)), cut=st.integers(0, 12)
)
def test_neither_the_order_of_sequences_nor_micro_batches_change_the_gradient(config, seed, order, cut):
    tokens = make_tokens(seed=seed)
    whole, gradient, statistics = torch_loss_and_gradient(config, tokens, tokens.size)
    parts = [part for part in (order[:cut], order[cut:]) if part]
    found = [torch_loss_and_gradient(config, tokens.of(part), tokens.size) for part in parts]
    assert sum(loss for loss, _, _ in found) == pytest.approx(whole)
    rejoined = np.empty_like(gradient)
    rejoined[[place for number in order for place in np.flatnonzero(tokens.ids == number)]] = np.concatenate(
        [part for _, part, _ in found]
    )
    np.testing.assert_allclose(rejoined, gradient, atol=1e-12)
    total = sum((part for _, _, part in found), LossStatistics())
    assert total.means() == pytest.approx(statistics.means())


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 99))
def test_on_policy_all_losses_give_the_plain_policy_gradient_up_to_their_divisor(kind, seed):
    tokens = make_tokens(seed=seed)
    tokens.new = tokens.old.copy()
    config, size = LossConfig(kind=kind), tokens.size
    _, gradient, statistics = torch_loss_and_gradient(config, tokens, size, weights=False)
    divisor = {
        "tokens": size.num_tokens,
        "sequences": size.num_sequences * np.bincount(tokens.ids)[tokens.ids],
        "constant": size.num_sequences * MAX_TOKENS,
    }[config.average]
    np.testing.assert_allclose(gradient, -tokens.advantages / divisor, atol=1e-15)
    assert statistics.means() == {
        "ratio_mean": 1.0,
        "clip_fraction": 0.0,
        "kl": 0.0,
        "ref_kl": 0.0,
        "entropy": 0.0,
        "silenced_fraction": 0.0,
    }


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 99), noise=st.sampled_from([0.0, 0.5, 50.0]))
def test_no_advantage_means_no_gradient_however_far_the_policy_moved(kind, seed, noise):
    tokens = make_tokens(seed=seed, noise=noise)
    tokens.advantages = np.zeros_like(tokens.advantages)
    loss, gradient, _ = torch_loss_and_gradient(LossConfig(kind=kind), tokens, tokens.size)
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gspo"])
def test_a_weight_of_zero_silences_its_token_alone(kind):
    tokens = make_tokens()
    tokens.weights = (tokens.weights > 1).astype(float)
    _, gradient, statistics = torch_loss_and_gradient(LossConfig(kind=kind), tokens, tokens.size)
    _, plain, _ = torch_loss_and_gradient(LossConfig(kind=kind), tokens, tokens.size, weights=False)
    np.testing.assert_array_equal(gradient, plain * tokens.weights)
    assert statistics.means()["silenced_fraction"] == pytest.approx((tokens.weights == 0).mean())


def test_a_sequence_of_weight_zero_has_no_gradient_in_gspo_either():
    tokens = make_tokens(noise=0.0001)
    tokens.weights = (tokens.ids % 2).astype(float)
    _, gradient, _ = torch_loss_and_gradient(LossConfig(kind="gspo"), tokens, tokens.size)
    assert not gradient[tokens.weights == 0].any()
    assert gradient[tokens.weights == 1].all()


def test_clip_fraction_counts_the_tokens_that_were_limited():
    old = torch.zeros(4)
    new = torch.tensor([1.5, 1.5, 3.0, 0.7]).log()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    _, dapo = policy_loss(LossConfig(kind="dapo"), new, old, advantages, StepSize(4))
    _, cispo = policy_loss(LossConfig(weight_high=2.0), new, old, advantages, StepSize(4))
    assert dapo.means()["clip_fraction"] == pytest.approx(3 / 4)
    assert cispo.means()["clip_fraction"] == pytest.approx(1 / 4)


def test_a_longer_rollout_weighs_more_over_tokens_the_same_over_sequences():
    ids = torch.tensor([0, 1, 1, 1])
    gradients = {}
    for kind in ("dapo", "grpo", "dr_grpo"):
        new = torch.zeros(4, requires_grad=True)
        loss, _ = policy_loss(
            LossConfig(kind=kind), new, torch.zeros(4), torch.ones(4), StepSize(4, 2, 10), sequence_ids=ids
        )
        loss.backward()
        gradients[kind] = [-new.grad[ids == number].sum().item() for number in (0, 1)]
    assert gradients["dapo"] == pytest.approx([1 / 4, 3 / 4])
    assert gradients["grpo"] == pytest.approx([1 / 2, 1 / 2])
    assert gradients["dr_grpo"] == pytest.approx([1 / 20, 3 / 20])


def test_k3_is_zero_where_policies_agree_and_positive_elsewhere():
    tokens = make_tokens()
    new, old = torch.tensor(tokens.new), torch.tensor(tokens.old)
    assert torch.equal(k3(new, new), torch.zeros_like(new))
    assert (k3(new, old) > 0).all()


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (LossConfig(kl=0.1), "ref_logprobs"),
        (LossConfig(kind="gspo"), "sequence_ids"),
        (LossConfig(kind="grpo"), "sequence_ids"),
        (LossConfig(kind="dr_grpo"), "max_sequence_tokens"),
    ],
)
def test_what_a_loss_needs_and_is_not_given_is_named(config, missing):
    zeros = torch.zeros(3)
    with pytest.raises(ValueError, match=missing):
        policy_loss(config, zeros, zeros, zeros, StepSize(3, 1))


def test_a_kind_brings_its_recipe_and_what_is_given_wins():
    assert (LossConfig(kind="gspo").clip_low, LossConfig(kind="gspo").clip_high) == (3e-4, 4e-4)
    assert LossConfig(kind="grpo").clip_high == 0.2
    assert LossConfig(kind="grpo", clip_high=0.28).clip_high == 0.28
    assert LossConfig(kind="dr_grpo").average == "constant"
    assert LossConfig() == LossConfig(kind="cispo", average="tokens")
    for kind in KINDS:
        config = LossConfig(kind=kind)
        assert LossConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="already weighs"):
        LossConfig(old_logprobs="sampler", mismatch="token_mask")
