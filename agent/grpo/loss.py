"""Policy-gradient losses over the sampled tokens of a step, and what they say about the update.

`LossConfig.kind` names a published recipe; each key that is not given takes the recipe's value:

| kind | importance ratio | clip | averaged over | source |
|---|---|---|---|---|
| `grpo` | of a token | 0.2 both ways | sequences | arXiv 2402.03300 |
| `dr_grpo` | of a token | 0.2 both ways | constant | arXiv 2503.20783 |
| `dapo` | of a token | 0.2 down, 0.28 up | tokens | arXiv 2503.14476 |
| `gspo` | of a sequence, geometric mean | 3e-4 down, 4e-4 up | sequences | arXiv 2507.18071 |
| `cispo` | of a token, as a weight without gradient | weight in 0..5 | tokens | arXiv 2506.13585, 2510.13786 |

What else belongs to a recipe is set beside it: `grpo.advantage_scale = "std"` for `grpo` and `gspo`, and groups
without spread are always replaced (DAPO's dynamic sampling). Pure functions of [N] tensors. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from agent.grpo.losses.averaging import Average, StepSize, averaged
from agent.grpo.losses.cispo import cispo
from agent.grpo.losses.clipped import clipped_surrogate
from agent.grpo.losses.kl import MAX_LOG_RATIO, k3
from agent.grpo.losses.mismatch import Correction
from agent.grpo.losses.sequence_ratio import sequence_log_ratio

LossKind = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "grpo": {"average": "sequences", "clip_low": 0.2, "clip_high": 0.2},
        "dr_grpo": {"average": "constant", "clip_low": 0.2, "clip_high": 0.2},
        "dapo": {"average": "tokens", "clip_low": 0.2, "clip_high": 0.28},
        "gspo": {"average": "sequences", "clip_low": 3e-4, "clip_high": 4e-4},
        "cispo": {"average": "tokens"},
    }
)


class LossConfig(BaseModel):
    """Which loss, and how far one update may go."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    kind: LossKind = "cispo"
    """grpo, dr_grpo, dapo: clipped ratio of each token, averaged differently; gspo: clipped ratio of a sequence; cispo:
    logprob times a clipped importance weight. Sets the defaults of `average`, `clip_low` and `clip_high`."""
    average: Average = "tokens"
    """tokens: every sampled token of the step weighs the same (dapo, cispo); sequences: every rollout does (grpo,
    gspo); constant: as tokens, divided by the most tokens that the step's rollouts could have sampled (dr_grpo)."""
    weight_low: float = Field(default=0.0, ge=0)
    """cispo: smallest importance weight."""
    weight_high: float = Field(default=5.0, gt=0)
    """cispo: largest importance weight."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """Other kinds: the ratio is clipped below 1 - clip_low (0.2; gspo: 3e-4)."""
    clip_high: float = Field(default=0.28, gt=0)
    """Other kinds: the ratio is clipped above 1 + clip_high (grpo and dr_grpo: 0.2; dapo: 0.28; gspo: 4e-4)."""
    kl: float = Field(default=0.0, ge=0)
    """Weight of the KL term (k3) towards the model that the run started from."""
    kl_in_reward: float = Field(default=0.0, ge=0)
    """Weight of the same KL, token by token, in the advantages instead of the loss."""
    old_logprobs: Literal["auto", "sampler", "trainer"] = "auto"
    """What the ratio is taken against: the sampler's logprobs, or the trainer's own before the step's first update.
    auto: the sampler's when a step is one update without `mismatch` correction."""
    mismatch: Correction = "none"
    """Weight by the ratio of trainer to sampler at the weights that sampled: of each token or of the whole sequence;
    truncate clips it to `mismatch_floor` and `mismatch_cap`, mask drops what is outside."""
    mismatch_cap: float = Field(default=2.0, gt=0)
    """Largest ratio of trainer to sampler."""
    mismatch_floor: float = Field(default=0.0, ge=0)
    """Smallest ratio of trainer to sampler."""
    top_entropy: float = Field(default=1.0, gt=0, le=1)
    """Learn from this share of the step's sampled tokens only, those with the highest entropy (arXiv 2506.01939)."""

    @model_validator(mode="before")
    @classmethod
    def _take_the_recipe(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {**PRESETS.get(str(values.get("kind", "cispo")), {}), **values}
        return values

    @model_validator(mode="after")
    def _sampler_logprobs_would_count_twice(self) -> LossConfig:
        if self.old_logprobs == "sampler" and self.mismatch != "none":
            raise ValueError("loss.mismatch already weighs by the sampler: leave loss.old_logprobs at auto")
        return self

    @property
    def needs_reference(self) -> bool:
        """Whether the loss asks what the model that the run started from would have said."""
        return bool(self.kl or self.kl_in_reward)

    def needs_scoring(self, num_updates: int) -> bool:
        """Return whether the trainer must read the step's tokens once before its first update."""
        is_against_trainer = self.old_logprobs == "trainer" or (self.old_logprobs == "auto" and num_updates > 1)
        return is_against_trainer or self.mismatch != "none" or self.top_entropy < 1


@dataclass(frozen=True, slots=True)
class LossStatistics:
    """Sums over tokens, so that micro-batches add up; `means` divides by the number of tokens."""

    num_tokens: int = 0
    ratio: float = 0.0
    clipped: float = 0.0  # tokens whose update was limited
    kl: float = 0.0  # k3 estimate of KL(old || policy)
    ref_kl: float = 0.0  # k3 estimate of KL(policy || reference)
    entropy: float = 0.0
    silenced: float = 0.0  # tokens that a mask or a correction gave the weight 0

    def __add__(self, other: LossStatistics) -> LossStatistics:
        return LossStatistics(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def means(self) -> dict[str, float]:
        """Return each sum as a mean over tokens (0 without tokens), by the name of its metric."""
        count = max(self.num_tokens, 1)
        return {
            "ratio_mean": self.ratio / count,
            "clip_fraction": self.clipped / count,
            "kl": self.kl / count,
            "ref_kl": self.ref_kl / count,
            "entropy": self.entropy / count,
            "silenced_fraction": self.silenced / count,
        }


def policy_loss(
    config: LossConfig,
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    step: StepSize,
    *,
    sequence_ids: Tensor | None = None,
    weights: Tensor | None = None,
    entropy: Tensor | None = None,
    ref_logprobs: Tensor | None = None,
) -> tuple[Tensor, LossStatistics]:
    """Return the micro-batch's share of the step's loss (a scalar to call backward on) and its statistics.

    All tensors are [N] over sampled tokens; `step` counts those of all micro-batches. `sequence_ids` are needed for
    gspo and for a mean over sequences, `ref_logprobs` when `config.kl` is not 0. `weights` (of masks and corrections)
    multiply the policy term, not the KL term. No gradient flows into anything but `logprobs`.
    """
    losses, is_clipped, ratio = _token_losses(config, logprobs, old_logprobs, advantages, sequence_ids)
    if weights is not None:
        losses = losses * weights
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
            ratio=float(ratio.sum()),
            clipped=float(is_clipped.sum()),
            kl=float(k3(old_logprobs, logprobs).sum()),
            ref_kl=float(ref_kl.sum()),
            entropy=0.0 if entropy is None else float(entropy.sum()),
            silenced=0.0 if weights is None else float((weights == 0).sum()),
        )
    return averaged(losses, config.average, step, sequence_ids), statistics


def _token_losses(
    config: LossConfig, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, sequence_ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (losses [N], is_clipped [N], importance ratio [N])."""
    log_ratio = logprobs - old_logprobs
    if config.kind == "gspo":
        if sequence_ids is None:
            raise ValueError("gspo needs sequence_ids")
        log_ratio = sequence_log_ratio(log_ratio, sequence_ids)
    log_ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    if config.kind == "cispo":
        losses, is_clipped = cispo(logprobs, log_ratio, advantages, config.weight_low, config.weight_high)
    else:
        losses, is_clipped = clipped_surrogate(log_ratio, advantages, config.clip_low, config.clip_high)
    return losses, is_clipped, log_ratio.detach().exp()
