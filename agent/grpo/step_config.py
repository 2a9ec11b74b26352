"""The section [grpo] of the training configuration: from rewards to the optimiser step.

Knows nothing of how the loop uses it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.grpo.advantages import AdvantageScale, Baseline
from agent.grpo.findings import FindingName
from agent.grpo.section import Section


class GrpoConfig(Section):
    """The optimiser step."""

    steps: int = Field(default=60, ge=0)
    """Optimiser steps of the run."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Stop after this much wall time, whatever `steps` says."""
    questions_per_step: int = Field(default=24, ge=1)
    """Groups whose rewards differ that make one step."""
    group_size: int = Field(default=8, ge=2)
    """Rollouts of each question."""
    max_refills: int = Field(default=1, ge=0)
    """How often a step samples again to replace groups without spread."""
    retire_at: float = Field(default=0.9, gt=0, le=1)
    """Questions whose last group was right at least this often are asked again only when all others are used up."""
    curriculum: Literal["uniform", "middling"] = "uniform"
    """uniform: every question once an epoch; middling: the more rarely, the nearer its pass rate is to 0 or 1."""
    baseline: Baseline = "mean"
    """What a reward is compared with: the mean of its group, or leave_one_out: the mean of the others."""
    advantage_scale: AdvantageScale = "none"
    """none: reward minus the baseline; std: also divided by the group's standard deviation; batch: by that of all
    groups of the step that differ."""
    truncated: Literal["keep", "mask"] = "keep"
    """mask: rollouts that a token limit or the deadline cut are not trained on; they still count in the baseline."""
    overlong_tokens: int = Field(default=0, ge=0)
    """Tokens below sampling.max_context from which an episode pays for its length, linearly; 0: never."""
    overlong_penalty: float = Field(default=-0.5, le=0)
    """What an episode pays that reaches sampling.max_context."""
    max_staleness: int = Field(default=0, ge=0, le=1)
    """1: the next step's rollouts are played while this one trains, by weights one step older (http engine only; set
    loss.mismatch); a resumed run then plays that step again. 0: every rollout is of the newest weights."""
    stop_on: tuple[FindingName, ...] = ("failed_rollouts",)
    """Findings of the doctor that stop the run. failed_rollouts: from 5 % of the episodes of the last ten steps it is
    warned of, above 10 % (and 3) the run is saved and ends, to be resumed. A list replaces this one; [] stops never."""
    updates_per_step: int = Field(default=1, ge=1)
    """Optimiser steps on the rollouts of one step, each on an equal share of them."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Learning rate at its highest."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly."""
    decay_from: float = Field(default=0.5, ge=0, le=1)
    """Share of `steps` after which the learning rate falls linearly."""
    final_learning_rate: float = Field(default=0.1, ge=0, le=1)
    """Learning rate of the last step, as a share of the highest."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's two decay rates."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    grad_clip: float = Field(default=1.0, gt=0)
    """Norm to which the gradient is clipped."""
    micro_batch_tokens: int = Field(default=4096, ge=1)
    """Tokens of one packed forward and backward pass; bounds memory, not the result."""
    strategy: Literal["replicate", "shard"] = "replicate"
    """Under torchrun: every process keeps gradients and optimiser state of the whole model, or (shard: FSDP2) a part.
    Shards train beside a whole copy of the weights, which samples and is saved; one process alone has none."""
    share_prefixes: bool = False
    """Read what the rollouts of a group begin with alike, their prompt, once in a pass: faster, equal to rounding."""

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of `step`, counted from 1: linear rise, plateau, linear fall."""
        rise = min(1.0, step / (self.warmup_steps + 1))
        start = self.decay_from * self.steps
        fallen = max(0.0, step - start) / max(self.steps - start, 1.0)
        return self.learning_rate * rise * (1 - (1 - self.final_learning_rate) * min(fallen, 1.0))
