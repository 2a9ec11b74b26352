"""One optimiser step over packed samples: forward, loss, backward, clip, step.

Knows nothing of groups, rewards or where the samples came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agent.grpo.logprobs import action_logprobs
from agent.grpo.loss import LossConfig, LossStatistics, policy_loss
from agent.grpo.packing import pack
from agent.grpo.samples import TrainingSample


@dataclass(frozen=True, slots=True)
class Update:
    """What one step did; `is_finite` False means that the weights were left alone."""

    loss: float
    grad_norm: float
    num_tokens: int
    statistics: LossStatistics
    is_finite: bool = True


def update(
    model: PreTrainedModel,
    optimizer: Optimizer,
    samples: Sequence[TrainingSample],
    config: LossConfig,
    *,
    temperature: float,
    max_tokens: int,
    grad_clip: float,
    reference: PreTrainedModel | None = None,
) -> Update:
    """Take one step; a step whose loss or gradient is not finite is skipped and says so."""
    num_actions = sum(sample.num_actions for sample in samples)
    total, num_tokens, statistics = 0.0, 0, LossStatistics()
    optimizer.zero_grad(set_to_none=True)
    for packed in pack(samples, max_tokens):
        batch = packed.to(model.device)
        logprobs, entropy = action_logprobs(model, batch, temperature)
        ref_logprobs = None
        if reference is not None:
            with torch.no_grad():
                ref_logprobs, _ = action_logprobs(reference, batch, temperature)
        loss, found = policy_loss(
            config,
            logprobs,
            batch.old_logprobs,
            batch.advantages,
            num_actions,
            entropy=entropy,
            ref_logprobs=ref_logprobs,
        )
        torch.autograd.backward(loss)
        total, num_tokens, statistics = total + float(loss.detach()), num_tokens + batch.num_tokens, statistics + found
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), grad_clip))
    is_finite = math.isfinite(total) and math.isfinite(norm)
    if is_finite:
        optimizer.step()
    return Update(total, norm, num_tokens, statistics, is_finite)
