"""Guards: what a run must not do, judged from numbers alone: a single wild update, or a metric gone astray for long.

Pure but for what they remember, which is JSON and goes into the checkpoint. Knows nothing of models or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agent.grpo.update import refuse_not_finite

MEMORY, NEEDED = 32, 5  # accepted updates that are remembered, and that there must be before one can be wild
REWARDS = 100
_LEAST_LOSS = 1e-3  # the loss of an update on policy is near 0: what is a million times that is no spike


class GuardsConfig(BaseModel):
    """When an update is not made, and when a run warns or stops."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    max_norm_ratio: float = Field(default=100.0, gt=1)
    """Skip an update whose gradient norm is so many times the median of the last ones."""
    max_loss_ratio: float = Field(default=1e6, gt=1)
    """Skip an update whose loss is so many times the median of the last ones."""
    max_bad_rewards: float = Field(default=0.05, ge=0, le=1)
    """Stop when more than this share of the last hundred rewards is no number or out of range; fewer are masked."""
    min_entropy: float = Field(default=0.005, ge=0)
    """Entropy, in nats a token, below which the policy says the same thing whatever it is asked."""
    max_kl: float = Field(default=0.1, gt=0)
    """KL of one step's updates, in nats a token, above which they go too far."""
    max_ref_kl: float = Field(default=1.0, gt=0)
    """KL towards the model that the run started from, in nats a token (where the loss asks for it)."""
    max_mismatch_kl: float = Field(default=0.01, gt=0)
    """KL of sampler and trainer under the same weights, in nats a token."""
    warn_after: int = Field(default=3, ge=1)
    """Warn when one of these four was beyond its limit for so many steps in a row."""
    stop_after: int = Field(default=0, ge=0)
    """Stop the run after so many steps in a row; 0 never stops it."""


class SpikeGuard:
    """Refuses an update that is not finite, or wild beside the ones accepted before it."""

    def __init__(self, config: GuardsConfig) -> None:
        self._config = config
        self._losses: list[float] = []
        self._norms: list[float] = []

    def __call__(self, loss: float, grad_norm: float) -> str:
        """Return why the update must not be made; "" accepts and remembers it."""
        reason = refuse_not_finite(loss, grad_norm) or self._wild(loss, grad_norm)
        if not reason and grad_norm > 0:  # a step that taught nothing says nothing of what is usual
            self._losses = [*self._losses, abs(loss)][-MEMORY:]
            self._norms = [*self._norms, grad_norm][-MEMORY:]
        return reason

    def state(self) -> dict[str, Any]:
        """Return what is remembered, as JSON."""
        return {"losses": self._losses, "norms": self._norms}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._losses, self._norms = list(state["losses"]), list(state["norms"])

    def _wild(self, loss: float, grad_norm: float) -> str:
        if len(self._norms) < NEEDED:
            return ""
        usual_norm, usual_loss = median(self._norms), max(median(self._losses), _LEAST_LOSS)
        if grad_norm > self._config.max_norm_ratio * usual_norm:
            return f"with a gradient norm of {grad_norm:.3g} beside {usual_norm:.3g} before"
        if abs(loss) > self._config.max_loss_ratio * usual_loss:
            return f"with a loss of {loss:.3g} beside {usual_loss:.3g} before"
        return ""


class BadRewards:
    """Counts rewards that cannot be trusted among the last hundred or so, whole steps at a time."""

    def __init__(self, config: GuardsConfig) -> None:
        self._config = config
        self._steps: list[tuple[int, int]] = []

    def note(self, num_bad: int, num_rewards: int) -> bool:
        """Take in a step; returns whether there are too many. A single one never is."""
        self._steps.append((num_bad, num_rewards))
        while sum(size for _, size in self._steps[1:]) >= REWARDS:
            self._steps.pop(0)
        num_bad_kept, size = sum(bad for bad, _ in self._steps), sum(size for _, size in self._steps)
        return num_bad_kept > max(self._config.max_bad_rewards * size, 1)

    def state(self) -> list[tuple[int, int]]:
        """Return what is remembered, as JSON."""
        return list(self._steps)

    def restore(self, state: Iterable[Sequence[int]]) -> None:
        """Go on from a saved state."""
        self._steps = [(bad, size) for bad, size in state]


@dataclass(frozen=True, slots=True)
class Finding:
    """A metric that was beyond its limit for `num_steps` steps in a row."""

    metric: str
    value: float
    limit: float
    num_steps: int
    advice: str
    is_stop: bool = False

    def __str__(self) -> str:
        relation = "below" if self.value < self.limit else "above"
        return f"{self.metric} is {self.value:.3g}, {relation} {self.limit:g} for {self.num_steps} steps"


@dataclass(frozen=True, slots=True)
class _Rule:
    metric: str
    key: str
    advice: str
    is_floor: bool = False


_RULES = (
    _Rule(
        "entropy", "min_entropy", "raise sampling.temperature or loss.kl, or lower grpo.learning_rate", is_floor=True
    ),
    _Rule("kl", "max_kl", "lower grpo.learning_rate or grpo.updates_per_step"),
    _Rule("ref_kl", "max_ref_kl", "raise loss.kl or lower grpo.learning_rate"),
    _Rule("mismatch_kl", "max_mismatch_kl", 'set loss.mismatch = "token_truncate", and check the engine\'s precision'),
)


class Thresholds:
    """Counts, row by row, for how long a metric has been beyond its limit."""

    def __init__(self, config: GuardsConfig) -> None:
        self._config = config
        self._counts: dict[str, int] = {}

    def check(self, row: Mapping[str, float]) -> list[Finding]:
        """Return what has lasted just long enough to warn of, and what long enough to stop for.

        A step that trained on nothing says nothing, nor does a number that is not finite.
        """
        if not row.get("trained_tokens"):
            return []
        return [finding for rule in _RULES if (finding := self._apply(rule, row)) is not None]

    def state(self) -> dict[str, int]:
        """Return what is remembered, as JSON."""
        return dict(self._counts)

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from a saved state."""
        self._counts = dict(state)

    def _apply(self, rule: _Rule, row: Mapping[str, float]) -> Finding | None:
        value, limit = row.get(rule.metric, math.nan), getattr(self._config, rule.key)
        if not math.isfinite(value):
            return None
        is_beyond = value < limit if rule.is_floor else value > limit
        count = self._counts[rule.metric] = self._counts.get(rule.metric, 0) + 1 if is_beyond else 0
        is_stop = bool(self._config.stop_after) and count >= self._config.stop_after
        if is_stop or count == self._config.warn_after:
            return Finding(rule.metric, value, limit, count, rule.advice, is_stop)
        return None


class RunGuards:
    """All that watches one run, and for how many steps in a row an update was refused."""

    def __init__(self, config: GuardsConfig) -> None:
        self.spikes, self.rewards, self.thresholds = SpikeGuard(config), BadRewards(config), Thresholds(config)
        self.num_skipped = 0

    def state(self) -> dict[str, Any]:
        """Return what is remembered, as JSON."""
        return {
            "spikes": self.spikes.state(),
            "rewards": self.rewards.state(),
            "thresholds": self.thresholds.state(),
            "num_skipped": self.num_skipped,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.spikes.restore(state["spikes"])
        self.rewards.restore(state["rewards"])
        self.thresholds.restore(state["thresholds"])
        self.num_skipped = state["num_skipped"]
