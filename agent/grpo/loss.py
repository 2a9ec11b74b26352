"""Policy-gradient losses over the sampled tokens of a step, and what they say about the update.

Pure functions of [N] tensors: every sampled token of the optimiser step weighs the same (DAPO, arXiv 2503.14476),
because each micro-batch is divided by the token count of the whole step. Knows nothing of models or batches.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

MAX_LOG_RATIO = 20.0  # far beyond any clip; keeps exp finite, so that an advantage of 0 stays 0


class LossConfig(BaseModel):
    """Which loss, and how far one update may go."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    kind: Literal["cispo", "ppo_clip"] = "cispo"
    """cispo: logprob times a clipped importance weight; ppo_clip: the smaller of clipped and unclipped ratio."""
    weight_low: float = Field(default=0.0, ge=0)
    """cispo: smallest importance weight."""
    weight_high: float = Field(default=5.0, gt=0)
    """cispo: largest importance weight."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """ppo_clip: the ratio is clipped below 1 - clip_low."""
    clip_high: float = Field(default=0.28, gt=0)
    """ppo_clip: the ratio is clipped above 1 + clip_high."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the KL term (k3) towards the model that the run started from."""


@dataclass(frozen=True, slots=True)
class LossStatistics:
    """Sums over tokens, so that micro-batches add up; `means` divides by the number of tokens."""

    num_tokens: int = 0
    ratio: float = 0.0
    clipped: float = 0.0  # tokens whose update was limited
    kl: float = 0.0  # k3 estimate of KL(sampler || policy)
    ref_kl: float = 0.0  # k3 estimate of KL(policy || reference)
    entropy: float = 0.0

    def __add__(self, other: LossStatistics) -> LossStatistics:
        return LossStatistics(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def means(self) -> dict[str, float]:
        """Return ratio_mean, clip_fraction, kl, ref_kl and entropy, each a mean over tokens (0 without tokens)."""
        count = max(self.num_tokens, 1)
        return {
            "ratio_mean": self.ratio / count,
            "clip_fraction": self.clipped / count,
            "kl": self.kl / count,
            "ref_kl": self.ref_kl / count,
            "entropy": self.entropy / count,
        }


def policy_loss(
    config: LossConfig,
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    num_step_tokens: int,
    *,
    entropy: Tensor | None = None,
    ref_logprobs: Tensor | None = None,
) -> tuple[Tensor, LossStatistics]:
    """Return the micro-batch's share of the step's loss (a scalar to call backward on) and its statistics.

    All tensors are [N] over sampled tokens; `num_step_tokens` counts those of all micro-batches of the step.
    `ref_logprobs` are needed when `config.kl` is not 0. No gradient flows into anything but `logprobs`.
    """
    log_ratio = (logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    losses, is_clipped = (_cispo if config.kind == "cispo" else _ppo_clip)(config, logprobs, log_ratio, advantages)
    ref_kl = torch.zeros_like(logprobs)
    if ref_logprobs is not None:
        ref_kl = k3(logprobs, ref_logprobs)
    elif config.kl:
        raise ValueError("a KL weight needs ref_logprobs")
    if config.kl:
        losses = losses + config.kl * ref_kl
    with torch.no_grad():
        statistics = LossStatistics(
            num_tokens=len(logprobs),
            ratio=float(log_ratio.exp().sum()),
            clipped=float(is_clipped.sum()),
            kl=float(k3(old_logprobs, logprobs).sum()),
            ref_kl=float(ref_kl.sum()),
            entropy=0.0 if entropy is None else float(entropy.sum()),
        )
    return losses.sum() / num_step_tokens, statistics


def k3(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Return the k3 estimate [N] of KL(p || q) at tokens drawn from p: never negative, zero where they agree.

    Source: http://joschu.net/blog/kl-approx.html
    """
    difference = (other_logprobs - logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return difference.exp() - difference - 1


def _cispo(config: LossConfig, logprobs: Tensor, log_ratio: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
    """CISPO (MiniMax-M1, arXiv 2506.13585): REINFORCE with a clipped importance weight that carries no gradient."""
    ratio = log_ratio.detach().exp()
    weight = ratio.clamp(config.weight_low, config.weight_high)
    return -weight * advantages * logprobs, weight != ratio


def _ppo_clip(config: LossConfig, _: Tensor, log_ratio: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate (arXiv 1707.06347) with the wider upper clip of DAPO (arXiv 2503.14476)."""
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    surrogate, limited = ratio * advantages, clipped * advantages
    return -torch.minimum(surrogate, limited), limited < surrogate
