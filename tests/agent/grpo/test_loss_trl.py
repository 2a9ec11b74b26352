"""The losses against TRL's, whose private method is called unbound on a stub: valid for the pinned version only."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from agent.grpo.loss import LossConfig, policy_loss
from agent.grpo.losses.averaging import StepSize
from agent.grpo.losses.entropy_mask import entropy_mask, entropy_threshold
from agent.grpo.losses.mismatch import correction_weights

KINDS = ["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
ROWS, LENGTH = 6, 17
MAX_TOKENS = 23


@pytest.fixture(scope="module")
def trl_trainer():
    trl = pytest.importorskip("trl")
    if not trl.__version__.startswith("1.16."):
        pytest.skip(f"written for TRL 1.16, found {trl.__version__}")
    from trl import GRPOTrainer

    return GRPOTrainer


def make_trainer(trainer_class, config, logprobs, entropy):
    """Return what `_compute_loss` reads of a trainer, with `logprobs` and `entropy` [B, T] as the model's output."""

    class Trainer:
        get_high_entropy_mask = trainer_class.get_high_entropy_mask

        def __getattr__(self, name):  # every switch that is not set here is off
            if name.startswith("__"):
                raise AttributeError(name)
            return None

    trainer = Trainer()
    trainer.__dict__ |= {
        "loss_type": "grpo" if config.kind == "gspo" else config.kind,
        "epsilon_low": config.clip_low,
        "epsilon_high": config.weight_high if config.kind == "cispo" else config.clip_high,
        "beta": config.kl,
        "importance_sampling_level": "sequence" if config.kind == "gspo" else "token",
        "top_entropy_quantile": config.top_entropy,
        "use_vllm": config.mismatch != "none",
        "vllm_importance_sampling_correction": config.mismatch != "none",
        "max_completion_length": MAX_TOKENS,
        "current_gradient_accumulation_steps": 1,
        "_metrics": {"train": _Lists(), "eval": _Lists()},
        "model": SimpleNamespace(training=True),
        "args": SimpleNamespace(delta=None, steps_per_generation=1, use_bias_correction_kl=False),
        "accelerator": SimpleNamespace(
            num_processes=1,
            gather=lambda tensor: tensor,
            reduce=lambda tensor, **_: tensor,
            pad_across_processes=lambda tensor, **_: tensor,
        ),
        "_get_per_token_logps_and_entropies": lambda *_, **__: (logprobs, entropy, None),
    }
    return trainer


class _Lists(dict):
    def __missing__(self, key):
        return self.setdefault(key, [])


def trl_correction(mode, old, sampler, mask, cap, floor):
    """What `_generate_and_score_completions` of TRL 1.16 computes as `importance_sampling_ratio`, in its own words."""
    difference = (old - sampler) * mask
    ratio = torch.exp(difference.sum(-1, keepdim=True) if mode.startswith("sequence") else difference)
    if mode.endswith("truncate"):
        return torch.clamp(ratio, min=floor, max=cap)
    return ratio.masked_fill((ratio < floor) | (ratio > cap), value=0.0)


def compare(trainer_class, config, *, scale=0.7, seed=0):
    """Return (our gradient, TRL's), after checking that the losses are equal."""
    torch.manual_seed(seed)
    mask = (torch.rand(ROWS, LENGTH) < 0.6).long()
    mask[:, 0] = 1
    old = -torch.rand(ROWS, LENGTH) * 4
    new = old + scale * torch.randn(ROWS, LENGTH)
    sampler = old + 0.3 * torch.randn(ROWS, LENGTH)
    ref = new + 0.3 * torch.randn(ROWS, LENGTH)
    entropy = torch.rand(ROWS, LENGTH)
    advantages = torch.randn(ROWS)
    inputs = {
        "prompt_ids": torch.zeros(ROWS, 3, dtype=torch.long),
        "prompt_mask": torch.ones(ROWS, 3, dtype=torch.long),
        "completion_ids": torch.zeros(ROWS, LENGTH, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": ref,
        "num_items_in_batch": mask.sum(),
    }
    on = mask.bool()
    ids = torch.arange(ROWS)[:, None].expand(ROWS, LENGTH)[on]
    weights = torch.ones(int(mask.sum()))
    if config.mismatch != "none":
        floor, cap = config.mismatch_floor, config.mismatch_cap
        inputs["importance_sampling_ratio"] = trl_correction(config.mismatch, old, sampler, mask, cap, floor)
        weights = correction_weights(config.mismatch, old[on], sampler[on], ids, floor=floor, cap=cap)
    if config.top_entropy < 1:
        weights = weights * entropy_mask(entropy[on], entropy_threshold(entropy[on], config.top_entropy))
    theirs = new.clone().requires_grad_()
    their_loss = trainer_class._compute_loss(make_trainer(trainer_class, config, theirs, entropy), None, inputs)
    their_loss.backward()

    ours = new.clone().requires_grad_()
    per_token = advantages[:, None].expand(ROWS, LENGTH)[on]
    loss, statistics = policy_loss(
        config,
        ours[on],
        old[on],
        per_token,
        StepSize(int(mask.sum()), ROWS, MAX_TOKENS),
        sequence_ids=ids,
        weights=weights,
        ref_logprobs=ref[on],
    )
    loss.backward()
    torch.testing.assert_close(loss, their_loss, atol=1e-6, rtol=1e-6)
    return ours.grad, theirs.grad, statistics


@pytest.mark.parametrize("scale", [0.001, 0.7])
@pytest.mark.parametrize("kl", [0.0, 0.05])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_those_of_trl(trl_trainer, kind, kl, scale):
    ours, theirs, statistics = compare(trl_trainer, LossConfig(kind=kind, kl=kl), scale=scale)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)
    assert ours.abs().max() > 0
    assert kind == "cispo" or scale < 0.01 or statistics.clipped > 0


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
@pytest.mark.parametrize("kind", KINDS)
def test_corrections_of_the_sampler_equal_those_of_trl(trl_trainer, kind, mode):
    config = LossConfig(kind=kind, mismatch=mode, mismatch_cap=1.4, mismatch_floor=0.7)
    ours, theirs, _ = compare(trl_trainer, config, scale=0.001)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-5)
    plain, _, _ = compare(trl_trainer, replace_config(config, mismatch="none"), scale=0.001)
    assert not torch.allclose(ours, plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_entropy_mask_equals_that_of_trl(trl_trainer, kind, share):
    ours, theirs, statistics = compare(trl_trainer, LossConfig(kind=kind, top_entropy=share), scale=0.0001)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)
    assert statistics.means()["silenced_fraction"] == pytest.approx(1 - share, abs=0.03)


def replace_config(config, **changes):
    return config.model_copy(update=changes)
