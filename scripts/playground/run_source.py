"""A source of episodes: the folder of a training run, that of a comparison, or one file of trajectories.

Looks at its files again when asked, so that a run is seen while it trains. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.episode_journal import file_name
from agent.grpo.advantages import step_advantages
from agent.grpo.grading import countable
from inbox_env.errors import UsageError
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.base import Reward
from rewards.ladder import LadderConfig
from scripts.benchmark_grades import read_grades
from scripts.playground.run_curves import Curves
from scripts.playground.run_facts import MAX_POLICY_CHARS, policy_names
from scripts.playground.run_index import Row, TrajectoryFile, number_groups
from scripts.playground.run_mail import RunMail, find_mail, section
from scripts.terminal import safe_line

LOOK_AGAIN_SECONDS = 0.5
WRITING_SECONDS = 10.0
NUM_LOOKED_AT = 1_000
_STEP = re.compile(r"step-(\d+)\.jsonl")
GRADES = "grades.jsonl"
_CONFIGS = ("config.json", "settings.json")
_OF_A_RUN = ("metrics.jsonl", "lock")  # the second is there from the start
_FOLDERS = ("trajectories", "evaluation")


class Source:
    """Everything that is known of one source; safe to use from several threads."""

    def __init__(self, path: Path, mailbox: Path | None = None, questions: Sequence[Path] = ()) -> None:
        if not path.exists():
            raise UsageError(80, "no such run or file", where=str(path), next_step="give a run folder or a JSONL file")
        self.path, self.name = path, path.resolve().name
        self.folder = path if path.is_dir() else _run_of(path)
        self.config = _config(self.folder)
        self.mail: RunMail = find_mail(self.config, self.folder, mailbox, questions)
        self.ladder = _ladder(self.config)
        self.curves = Curves(self.folder / "metrics.jsonl" if path.is_dir() else None)
        self._files: dict[str, TrajectoryFile] = {}
        self._lock, self._looked = threading.Lock(), 0.0
        if not self._paths() and not self.is_run:
            next_step = "give the folder of a run or of a benchmark, or a file of trajectories"
            raise UsageError(81, "no trajectories here", where=str(path), next_step=next_step)

    @property
    def is_run(self) -> bool:
        """Whether this is the folder of a training run, if only of one that has just begun."""
        return self.path.is_dir() and any((self.path / name).is_file() for name in _OF_A_RUN)

    def refresh(self) -> None:
        """Read what is new, unless that was done a moment ago."""
        with self._lock:
            if time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
                return
            paths = self._paths()
            for name, path in paths.items():
                known = self._files.get(name)
                file = known or TrajectoryFile(path, name, _step(path), self.mail.label, self.ladder)
                if file.refresh():
                    self._weigh(file)
                    self._grade(file)
                self._files[name] = file  # not before: others may be looking
            for name in self._files.keys() - paths.keys():
                del self._files[name]
            self._name_sets()
            self._looked = time.monotonic()

    def rows(self) -> list[Row]:
        """Return all episodes: those of training by step, then the others by file."""
        return [row for file in self.files() for row in file.rows]

    def files(self) -> list[TrajectoryFile]:
        """Return the files in their order."""
        return sorted(self._files.values(), key=lambda file: (file.step is None, file.step or 0, file.name))

    def file(self, name: str) -> TrajectoryFile:
        """Return one file; raises UsageError when it is none of this source."""
        if name not in self._files:
            self.refresh()
        if name not in self._files:
            raise UsageError(82, f"no file {name[:80]!r} in {self.name}", next_step="choose one of the list")
        return self._files[name]

    def row(self, name: str, line: int) -> Row:
        """Return one row; raises UsageError when there is none."""
        found = next((row for row in self.file(name).rows if row.line == line), None)
        if found is None:
            raise UsageError(83, f"no episode at line {line} of {name[:80]}", next_step="choose one of the list")
        return found

    def group(self, row: Row) -> list[Row]:
        """Return all rollouts of a row's group, itself among them."""
        return [one for one in self.file(row.file).rows if one.group == row.group]

    def read(self, row: Row) -> Trajectory:
        """Return the trajectory of a row; raises CorruptError."""
        return self.file(row.file).read(row)

    def question(self, trajectory: Trajectory) -> Question | None:
        """Return the question that was played, with its label, if it was found."""
        return self.mail.label(trajectory.question_id, trajectory.question)

    def notes(self) -> list[str]:
        """Return what whoever looks should know: lines that could not be read, one being written, missing mail."""
        return [*self.losses(), *([self.mail.note] if self.mail.note else [])]

    def sets(self) -> list[dict[str, Any]]:
        """Return the sets of episodes with their sizes: training, and every other file."""
        sizes = Counter(row.set for row in self.rows())
        return [{"name": name, "num_episodes": size} for name, size in sizes.items()]

    def losses(self) -> Iterator[str]:
        """Yield what of the files is not among the rows."""
        for file in self.files():
            if file.num_bad:
                named = "; ".join(f"line {line}: {reason}" for line, reason in file.bad[:3])
                lines = "1 line is" if file.num_bad == 1 else f"{file.num_bad} lines are"
                yield f"{file.name}: {lines} no trajectory and left out ({named})"
            if file.is_torn:
                yield f"{file.name}: {_torn(file.path)}"

    def _paths(self) -> dict[str, Path]:
        if self.path.is_file():
            return {self.path.name: self.path} if self._files or _begins_with_episodes(self.path) else {}
        nested = {f"{name}/{path.name}": path for name in _FOLDERS for path in (self.path / name).glob("*.jsonl")}
        return nested or {path.name: path for path in self.path.glob("*.jsonl") if _holds_trajectories(path)}

    def _grade(self, file: TrajectoryFile) -> None:
        """Take kind and outcome from a benchmark's grades where neither record nor label says them."""
        grades = self.path / GRADES
        if self.path.is_file() or not grades.is_file():
            return
        by_line = {grade.line: grade for grade in read_grades(grades) if grade.file == file.name}
        for row in file.rows:
            if (grade := by_line.get(row.line)) and grade.question == row.question_id:
                row.kind, row.outcome = row.kind or grade.kind, row.outcome or grade.outcome.value

    def _name_sets(self) -> None:
        """Call the episodes of a policy by its name in the summary: its file is not always called so."""
        names = {file_name(name): safe_line(name, MAX_POLICY_CHARS) for name in policy_names(self.folder)}
        for file in self._files.values():
            name = names.get(Path(file.name).name) if file.step is None else None
            if name and file.rows and file.rows[-1].set != name:
                for row in file.rows:
                    row.set = name

    def _weigh(self, file: TrajectoryFile) -> None:
        """Number the groups of a file; where several rollouts of a question were compared, with advantages."""
        grpo = section(self.config, "grpo")
        size = grpo.get("group_size") if file.step is not None else None
        groups = list(number_groups(file.rows, size))
        if file.step is None and all(len(group) == 1 for group in groups):
            for row in file.rows:
                row.group = None
            return
        values = [countable([Reward(row.reward) for row in group]) for group in groups]
        found = step_advantages(values, grpo.get("advantage_scale", "none"), grpo.get("baseline", "mean"))
        for group, advantages in zip(groups, found, strict=True):
            for row, advantage in zip(group, advantages, strict=True):
                row.advantage = None if row.reward is None else advantage


def _run_of(path: Path) -> Path:
    """Return the run folder that a file lies in, or its own folder."""
    parents = path.resolve().parents
    return next((parent for parent in list(parents)[:2] if (parent / "config.json").is_file()), parents[0])


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run or the settings of a benchmark; empty where neither is readable."""
    path = next((path for name in _CONFIGS if (path := folder / name).is_file()), folder / _CONFIGS[0])
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _ladder(config: dict[str, Any]) -> LadderConfig:
    reward = section(config, "reward")
    try:
        return LadderConfig(**{name: reward[name] for name in LadderConfig.model_fields if name in reward})
    except ValidationError:
        return LadderConfig()


def _torn(path: Path) -> str:
    """Return what to say of a last line without its end: lines are written at once, so an old one is never finished."""
    try:
        is_old = time.time() - path.stat().st_mtime > WRITING_SECONDS
    except FileNotFoundError:
        is_old = False
    return "the last line was cut off: its episode is left out" if is_old else "the last line is still being written"


def _step(path: Path) -> int | None:
    found = _STEP.fullmatch(path.name)
    return int(found[1]) if found else None


def _holds_trajectories(path: Path) -> bool:
    """Return whether the first line is a trajectory."""
    with path.open("rb") as file:
        return _is_episode(file.readline())


def _begins_with_episodes(path: Path) -> bool:
    """Return whether a file that was named holds a trajectory, be its first lines damaged."""
    with path.open("rb") as file:
        return any(map(_is_episode, islice(file, NUM_LOOKED_AT)))


def _is_episode(line: bytes) -> bool:
    try:
        Trajectory.model_validate_json(line)
    except ValidationError:
        return False
    return True
