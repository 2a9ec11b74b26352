"""The losses against TRL's, whose private method is called unbound on a stub: valid for the pinned version only."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from agent.grpo.loss import LossConfig, policy_loss


@pytest.fixture(scope="module")
def compute_loss():
    trl = pytest.importorskip("trl")
    if not trl.__version__.startswith("1.16."):
        pytest.skip(f"written for TRL 1.16, found {trl.__version__}")
    from trl import GRPOTrainer

    return GRPOTrainer._compute_loss


def make_trainer(config, logprobs):
    """Return what `_compute_loss` reads of a trainer, with `logprobs` [B, T] as the model's output."""

    class Trainer:
        def __getattr__(self, name):  # every switch that is not set here is off
            if name.startswith("__"):
                raise AttributeError(name)
            return None

    trainer = Trainer()
    trainer.__dict__ |= {
        "loss_type": "cispo" if config.kind == "cispo" else "dapo",
        "epsilon_low": config.clip_low,
        "epsilon_high": config.weight_high if config.kind == "cispo" else config.clip_high,
        "beta": config.kl,
        "importance_sampling_level": "token",
        "top_entropy_quantile": 1.0,
        "current_gradient_accumulation_steps": 1,
        "_metrics": {"train": _Lists(), "eval": _Lists()},
        "model": SimpleNamespace(training=True),
        "args": SimpleNamespace(delta=None, steps_per_generation=1, use_bias_correction_kl=False),
        "accelerator": SimpleNamespace(
            num_processes=1, gather=lambda tensor: tensor, reduce=lambda tensor, **_: tensor
        ),
        "_get_per_token_logps_and_entropies": lambda *_, **__: (logprobs, torch.zeros_like(logprobs), None),
    }
    return trainer


class _Lists(dict):
    def __missing__(self, key):
        return self.setdefault(key, [])


@pytest.mark.parametrize("kl", [0.0, 0.05])
@pytest.mark.parametrize("kind", ["cispo", "ppo_clip"])
def test_gradients_equal_those_of_trl(compute_loss, kind, kl):
    config = LossConfig(kind=kind, kl=kl)
    torch.manual_seed(0)
    rows, length = 6, 17
    mask = (torch.rand(rows, length) < 0.6).long()
    old = -torch.rand(rows, length) * 4
    new = old + 0.7 * torch.randn(rows, length)
    ref = new + 0.3 * torch.randn(rows, length)
    advantages = torch.randn(rows)
    inputs = {
        "prompt_ids": torch.zeros(rows, 3, dtype=torch.long),
        "prompt_mask": torch.ones(rows, 3, dtype=torch.long),
        "completion_ids": torch.zeros(rows, length, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": ref,
        "num_items_in_batch": mask.sum(),
    }
    theirs = new.clone().requires_grad_()
    their_loss = compute_loss(make_trainer(config, theirs), None, inputs)
    their_loss.backward()

    ours = new.clone().requires_grad_()
    on = mask.bool()
    per_token = advantages[:, None].expand(rows, length)[on]
    loss, _ = policy_loss(config, ours[on], old[on], per_token, int(mask.sum()), ref_logprobs=ref[on])
    loss.backward()
    torch.testing.assert_close(loss, their_loss)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-7, rtol=1e-6)
