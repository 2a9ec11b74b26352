"""Playing questions with a policy and keeping what was played: only missing episodes are played again.

One JSON Lines file of trajectories a policy; reports are always computed from the files.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agent.arena import Arena
from agent.evaluate import PolicyReport, Role, summarise
from agent.policy import Policy
from agent.rollout import check_errors, rollout_many
from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory, read_trajectories, write_trajectories
from rewards.ladder import Mode


class EvaluationFolder:
    """Where the episodes of one comparison are kept."""

    def __init__(
        self,
        folder: Path,
        arena: Arena,
        split: str,
        mode: Mode,
        *,
        deadline_seconds: float = 60.0,
        fail_share: float | None = None,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._arena, self._split, self._mode = arena, split, mode
        self._deadline_seconds, self._fail_share = deadline_seconds, fail_share
        self._on_warning = on_warning

    def play(
        self, policy: Policy, role: Role, questions: Sequence[Question], *, concurrency: int = 128, name: str = ""
    ) -> PolicyReport:
        """Return the report of `policy` (called `name`, if given) on `questions`; episodes on file are not repeated.

        Raises UpstreamError when more than `fail_share` of the episodes ended in an error; the others are on file.
        """
        name = name or policy.name
        path = self.path(name)
        done = self._read(path)
        missing = [question for question in questions if question.id not in done]
        if missing:
            arena = self._arena.with_limits(policy.limits) if policy.limits else self._arena
            rollouts = asyncio.run(
                rollout_many(
                    policy,
                    arena.envs(missing),
                    concurrency=concurrency,
                    deadline_seconds=self._deadline_seconds,
                    fail_share=self._fail_share,
                )
            )
            played = [rollout.trajectory for rollout in rollouts]
            done |= {trajectory.question_id: trajectory for trajectory in played}
            _replace(path, done.values())
            if self._fail_share is not None and (warning := check_errors(played, self._fail_share)):
                self._on_warning(f"{name}: {warning}")
        return summarise(name, role, self._split, [done[question.id] for question in questions], questions, self._mode)

    def path(self, name: str) -> Path:
        """Return the file of a policy's trajectories."""
        return self.folder / (re.sub(r"[^A-Za-z0-9.+-]+", "_", name) + ".jsonl")

    def trajectories(self, name: str, *, with_errors: bool = False) -> dict[str, Trajectory]:
        """Return the episodes on file of a policy, by question id; those that an outage ended only if asked for."""
        return self._read(self.path(name), with_errors=with_errors)

    def forget(self, name: str) -> None:
        """Remove the episodes of a policy: they are of a model that has changed since."""
        self.path(name).unlink(missing_ok=True)

    def _read(self, path: Path, *, with_errors: bool = False) -> dict[str, Trajectory]:
        """Return what is on file; without episodes that an outage ended, which are played again."""
        if not path.is_file():
            return {}
        try:
            played = {trajectory.question_id: trajectory for trajectory in read_trajectories(path)}
        except ValueError as error:
            next_step = "remove it: its episodes are played again"
            raise CorruptError(50, "the file of episodes is damaged", where=str(path), next_step=next_step) from error
        return {key: one for key, one in played.items() if with_errors or one.stop_reason is not StopReason.ERROR}


def _replace(path: Path, trajectories: Iterable[Trajectory]) -> None:
    """Write the file beside and rename it, so that a full disk loses none of the episodes it held."""
    partial = path.with_suffix(".partial")
    try:
        write_trajectories(partial, trajectories)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
