"""A file of trajectories as rows: what a list needs of each episode, and where its line stands in the file.

A file is read once, and again only where it has grown. What is no trajectory is counted and named; a last line without
its line break is still being written, and is read when it is whole. Knows nothing of runs or of the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import LadderConfig, Outcome, classify
from scripts.terminal import safe_line

TRAINING = "training"
MAX_NAMED = 20  # bad lines of one file that are named; all are counted
MARK_BYTES = 64
_OUTCOMES = frozenset(Outcome)
FindQuestion = Callable[[str, str], Question | None]  # (id, words)


@dataclass(slots=True)
class Row:
    """One episode: `line` counts from 1, `start` and `size` are bytes; `group` numbers the groups of its file.

    `set` is training, or what its file is called; `words` is what is looked for in it, folded.

    `outcome` and `kind` are empty where neither the record nor a labelled question says them.
    """

    file: str
    set: str
    line: int
    start: int
    size: int
    question_id: str
    question: str
    words: str
    inbox: str
    policy: str
    kind: str
    outcome: str
    stop_reason: str
    reward: float | None
    num_turns: int
    num_tokens: int
    step: int | None = None
    group: int | None = None
    advantage: float | None = None


@dataclass(slots=True)
class TrajectoryFile:
    """One file and its rows so far; `name` is what the page calls it, `step` the optimiser step that it is of."""

    path: Path
    name: str
    step: int | None
    find_question: FindQuestion
    ladder: LadderConfig
    rows: list[Row] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    num_bad: int = 0
    is_torn: bool = False
    _end: int = 0
    _num_lines: int = 0
    _seen: tuple[int, int, int] = (0, 0, 0)
    _marks: tuple[bytes, bytes] = (b"", b"")
    _asked: tuple[tuple[str, str], tuple[str, str]] = (("", ""), ("", " "))

    def refresh(self) -> bool:
        """Read what is new; returns whether anything has changed. A file that was replaced is read anew."""
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                seen = stat.st_ino, stat.st_size, stat.st_mtime_ns
                if seen == self._seen:
                    return False
                if seen[0] != self._seen[0] or stat.st_size < self._end or self._marks != _marks(file, self._end):
                    self._forget()
                self._read_on(file)
                self._seen, self._marks = seen, _marks(file, self._end)
        except FileNotFoundError:
            was_there = self._seen != (0, 0, 0)
            self._forget()
            self._seen = (0, 0, 0)
            return was_there
        return True

    def read(self, row: Row) -> Trajectory:
        """Return the trajectory of a row; raises CorruptError when the file is no longer what it was."""
        try:
            with self.path.open("rb") as file:
                file.seek(row.start)
                return Trajectory.model_validate_json(file.read(row.size))
        except (ValidationError, FileNotFoundError) as error:
            what, where = "the file was changed while it was looked at", f"{self.path}:{row.line}"
            raise CorruptError(90, what, where=where, next_step="reload the page") from error

    def _forget(self) -> None:
        self.rows, self.bad, self.num_bad, self.is_torn = [], [], 0, False
        self._end, self._num_lines, self._marks = 0, 0, (b"", b"")

    def _read_on(self, file: BinaryIO) -> None:
        file.seek(self._end)
        self.is_torn = False
        for line in file:
            if not line.endswith(b"\n"):
                self.is_torn = True
                break
            self._num_lines += 1
            if not line.isspace():
                self._add(line)
            self._end += len(line)

    def _add(self, line: bytes) -> None:
        try:
            trajectory = Trajectory.model_validate_json(line)
        except ValidationError as error:
            self.num_bad += 1
            if len(self.bad) < MAX_NAMED:
                self.bad.append((self._num_lines, safe_line(_reason(error), 120)))
            return
        self.rows.append(self._row(trajectory, len(line)))

    def _row(self, trajectory: Trajectory, size: int) -> Row:
        question = self.find_question(trajectory.question_id, trajectory.question)
        shown, words = self._shown(trajectory)
        return Row(
            file=self.name,
            set=TRAINING if self.step is not None else Path(self.name).stem,
            line=self._num_lines,
            start=self._end,
            size=size,
            question_id=trajectory.question_id,
            question=shown,
            words=words,
            inbox=trajectory.inbox,
            policy=_shown_name(trajectory.policy),
            kind=question.kind if question and question.is_labelled else "",
            outcome=outcome_of(trajectory, question, self.ladder),
            stop_reason=trajectory.stop_reason.value,
            reward=trajectory.reward if trajectory.reward is not None and isfinite(trajectory.reward) else None,
            num_turns=len(trajectory.turns),
            num_tokens=sum(turn.num_tokens for turn in trajectory.turns),
            step=self.step,
        )

    def _shown(self, trajectory: Trajectory) -> tuple[str, str]:
        """Return the question as it is shown and as it is looked for; rollouts of a group share both."""
        asked = trajectory.question_id, trajectory.question
        if self._asked[0] != asked:
            shown = safe_line(trajectory.question, 300)
            self._asked = asked, (shown, f"{trajectory.question_id} {shown}".casefold())
        return self._asked[1]


def outcome_of(trajectory: Trajectory, question: Question | None, ladder: LadderConfig) -> str:
    """Return how an episode ended by the ladder: as recorded with its reward, else by its label; "" when unknown."""
    recorded = next((name for name in trajectory.reward_parts if name in _OUTCOMES), "")
    if recorded or trajectory.stop_reason is StopReason.ERROR:
        return recorded or Outcome.UNSCORABLE.value
    return classify(trajectory, question, ladder).value if question and question.is_labelled else ""


def number_groups(rows: list[Row], group_size: int | None) -> Iterator[list[Row]]:
    """Yield the rollouts of each question that stand together, at most `group_size`, after numbering them."""
    group: list[Row] = []
    number = 0
    for row in rows:
        is_full = group_size is not None and len(group) >= group_size
        if group and (is_full or row.question_id != group[-1].question_id):
            yield group
            group, number = [], number + 1
        row.group = number
        group.append(row)
    if group:
        yield group


@lru_cache(maxsize=256)
def _shown_name(policy: str) -> str:
    return safe_line(policy, 120)


def _marks(file: BinaryIO, end: int) -> tuple[bytes, bytes]:
    """Return the beginning and the end of what was read: both stay as they are while a file only grows."""
    size = min(end, MARK_BYTES)
    file.seek(0)
    first = file.read(size)
    file.seek(end - size)
    return first, file.read(size)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
