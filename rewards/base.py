"""Reward: what one episode was worth, with its named parts.

Made by reward functions, consumed by training, evaluation and report. Knows nothing of how a trajectory came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory


class NotFiniteError(ValueError):
    """A reward that is no number: the reward function's fault, which a trainer masks and counts."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A finite `value` that is the sum of its `parts`; `value` None means unscorable: mask it, never count it as 0."""

    value: float | None
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise NotFiniteError(f"a reward is finite or None, not {self.value}")

    @classmethod
    def of(cls, parts: Mapping[str, float]) -> Reward:
        """Return the reward whose value is the sum of `parts`."""
        return cls(math.fsum(parts.values()), dict(parts))

    @classmethod
    def unscorable(cls, reason: str) -> Reward:
        """Return a reward without value, for episodes that an outage spoiled."""
        return cls(None, {}, reason)


class RewardFn(Protocol):
    """Judges one finished episode; pure, so that a replay gives the same reward."""

    def __call__(self, trajectory: Trajectory, question: Question) -> Reward:
        """Return the reward of `trajectory`, which must be a play of `question`."""
        ...
