"""Grades: one row for every episode of a comparison, with the place of its record; every figure is counted from these.

What an episode was worth comes from `rewards` and is asked in one place here (`grade`), so that another grader needs
no other change. Knows nothing of reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from inbox_env.actions import StopReason
from inbox_env.questions import Kind, Question
from inbox_env.trajectory import Trajectory
from rewards.facts import Facts, derive_facts
from rewards.ladder import LadderConfig, Mode, Outcome, classify

ErrorKind = Literal["not found", "found, not read", "read, but wrong", "hallucinated", "gave up", "outage"]
ERROR_KINDS: tuple[ErrorKind, ...] = (
    "not found",
    "found, not read",
    "read, but wrong",
    "hallucinated",
    "gave up",
    "outage",
)


class Grade(BaseModel):
    """One episode: who played what, what came of it, what it took, and where its record is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    policy: str
    seed: int
    question: str
    """Id of the question; with policy and seed it names the episode."""
    inbox: str
    kind: Kind
    outcome: Outcome
    error: ErrorKind | None
    """What went wrong; null when the episode is right."""
    is_right: bool
    num_turns: int
    num_invalid_calls: int
    num_prompt_tokens: int
    num_tokens: int
    seconds: float
    file: str
    """JSON Lines file of the trajectory."""
    line: int
    """Its line in the file, from 1."""


def grade(
    policy: str, seed: int, trajectory: Trajectory, question: Question, mode: Mode, place: tuple[Path, int]
) -> Grade:
    """Return the row of one episode; `place` is the file and line of its record."""
    facts = derive_facts(trajectory, question)
    outcome = classify(trajectory, question, LadderConfig(mode=mode), facts)
    is_right = outcome in (Outcome.RIGHT, Outcome.ABSTAINED)
    return Grade(
        policy=policy,
        seed=seed,
        question=question.id,
        inbox=question.inbox,
        kind=question.kind,
        outcome=outcome,
        error=None if is_right else error_kind(trajectory, question, facts, outcome),
        is_right=is_right,
        num_turns=facts.num_turns,
        num_invalid_calls=facts.num_invalid_calls,
        num_prompt_tokens=sum(turn.num_prompt_tokens for turn in trajectory.turns),
        num_tokens=sum(turn.num_tokens for turn in trajectory.turns),
        seconds=trajectory.seconds,
        file=place[0].name,
        line=place[1],
    )


def error_kind(trajectory: Trajectory, question: Question, facts: Facts, outcome: Outcome) -> ErrorKind:
    """Return what went wrong in an episode that is not right.

    Hallucinated: an answer to what nothing answers, or an answer without one mail opened.
    """
    if outcome is Outcome.UNSCORABLE:
        return "outage"
    if trajectory.stop_reason is not StopReason.ANSWERED:
        return "gave up"
    if not question.answerable or not any(result.opened for turn in trajectory.turns for result in turn.results):
        return "hallucinated"
    if facts.gold_read:
        return "read, but wrong"
    return "found, not read" if facts.gold_found else "not found"


def write_grades(path: Path, grades: Iterable[Grade]) -> None:
    """Write one JSON object a line, beside the place and moved into it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(one.model_dump_json() + "\n" for one in grades), encoding="utf-8")
    partial.replace(path)


def read_grades(path: Path) -> Iterator[Grade]:
    """Yield the grades of a file written by `write_grades`; lines of another version are passed over."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield Grade.model_validate_json(line)
            except ValidationError:
                continue
