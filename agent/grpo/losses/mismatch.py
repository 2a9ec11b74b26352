"""Sampler-trainer mismatch: engine and trainer give one token different probabilities under the same weights.

The cure is one more importance weight, trainer over sampler at the weights that sampled, which multiplies the loss
and carries no gradient. Sources: truncated importance sampling, https://fengyao.notion.site/off-policy-rl; masked
and of whole sequences, https://richardli.xyz/rl-collapse. Pure functions of [N] tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from agent.grpo.losses.kl import MAX_LOG_RATIO, k3
from agent.grpo.losses.sequence_ratio import sequence_sum

Correction = Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How far sampler and trainer are apart: sums over tokens, so that micro-batches add up, and the largest."""

    num_tokens: int = 0
    kl: float = 0.0  # k3 estimate of KL(sampler || trainer)
    largest: float = 0.0  # difference of logprobs, nats
    weight: float = 0.0  # of the correction

    def __add__(self, other: Mismatch) -> Mismatch:
        return Mismatch(
            self.num_tokens + other.num_tokens,
            self.kl + other.kl,
            max(self.largest, other.largest),
            self.weight + other.weight,
        )

    def means(self) -> dict[str, float]:
        """Return mismatch_kl, mismatch_max and correction_mean (0, 0 and 1 without tokens)."""
        count = max(self.num_tokens, 1)
        weight = self.weight / count if self.num_tokens else 1.0
        return {"mismatch_kl": self.kl / count, "mismatch_max": self.largest, "correction_mean": weight}


def correction_weights(
    kind: Correction, trainer: Tensor, sampler: Tensor, sequence_ids: Tensor, *, floor: float, cap: float
) -> Tensor:
    """Return the weight [N] of each token: its own ratio, or the product of its sequence's.

    "truncate" clips ratios to [floor, cap]; "mask" gives those outside the weight 0. Logprobs are [N], in nats.
    """
    log_ratio = (trainer - sampler).detach()
    if kind == "none":
        return torch.ones_like(log_ratio)
    if kind.startswith("sequence"):
        log_ratio = sequence_sum(log_ratio, sequence_ids)[sequence_ids]
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    if kind.endswith("truncate"):
        return ratio.clamp(floor, cap)
    return ratio.where((ratio >= floor) & (ratio <= cap), torch.zeros_like(ratio))


def measure(trainer: Tensor, sampler: Tensor, weights: Tensor | None = None) -> Mismatch:
    """Return the mismatch of a micro-batch's logprobs [N] under the same weights."""
    if not len(trainer):
        return Mismatch()
    largest = float((trainer - sampler).abs().max())
    weight = float(len(trainer)) if weights is None else float(weights.sum())
    return Mismatch(len(trainer), float(k3(sampler, trainer).sum()), largest, weight)
