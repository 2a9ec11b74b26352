"""Trajectory: the finished text record of one episode, which everything downstream reads.

Made by `agent.rollout`; consumed by rewards, evaluation, report and viewer. One JSON object a line.
Knows nothing of tokens: those are in `agent.rollout.Rollout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from inbox_env.actions import StopReason


class ToolResultRecord(BaseModel):
    """One call with what it returned; `arguments` is None when the policy's text was no call."""

    model_config = ConfigDict(frozen=True)

    name: str
    arguments: dict[str, Any] | None
    content: str
    listed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    is_error: bool = False


class Turn(BaseModel):
    """One action of the policy and its results; `seconds` is the time the policy took to act.

    `num_tokens` were produced for it and `num_prompt_tokens` read (an API reads the whole conversation every turn).
    """

    model_config = ConfigDict(frozen=True)

    text: str
    results: tuple[ToolResultRecord, ...]
    seconds: float = 0.0
    num_tokens: int = 0
    num_prompt_tokens: int = 0


class Verdict(BaseModel):
    """What a judge said of an answer that the deterministic matcher could not decide; kept so that a replay agrees.

    `key` identifies what was asked: question, right answers, given answer, prompt and judge. `num_calls` is 0 when a
    rule or the cache decided; `cost` is in dollars, 0 where no price is known.
    """

    model_config = ConfigDict(frozen=True)

    value: Literal["right", "wrong", "unscorable"]
    judge: str
    key: str
    reason: str = ""
    num_calls: int = 0
    cost: float = 0.0


class Trajectory(BaseModel):
    """One play of one question: rewards are computed from it, never stored by the loop.

    `verdict` is what a judge said where the answer could not be decided otherwise.
    """

    model_config = ConfigDict(frozen=True)

    question_id: str
    inbox: str
    policy: str
    question: str
    opening: str
    turns: tuple[Turn, ...]
    stop_reason: StopReason
    answer: str | None = None
    sources: tuple[str, ...] = ()
    unknown_sources: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0
    verdict: Verdict | None = None
    reward: float | None = None
    reward_parts: dict[str, float] = {}

    @property
    def asked_on(self) -> date | None:
        """The day on which it was asked, which the opening ends with."""
        try:
            return date.fromisoformat(self.opening.rpartition(", ")[2])
        except ValueError:
            return None


def write_trajectories(path: Path, trajectories: Iterable[Trajectory], *, append: bool = False) -> None:
    """Write one JSON object a line."""
    with path.open("a" if append else "w", encoding="utf-8") as file:
        for trajectory in trajectories:
            file.write(trajectory.model_dump_json() + "\n")


def read_trajectories(path: Path) -> Iterator[Trajectory]:
    """Yield the trajectories of a file written by `write_trajectories`."""
    with path.open(encoding="utf-8") as file:
        yield from (Trajectory.model_validate_json(line) for line in file if line.strip())
