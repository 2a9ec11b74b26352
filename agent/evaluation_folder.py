"""Playing questions with a policy and keeping what was played: only missing episodes are played again.

One JSON Lines file of trajectories a policy, which grows with every episode; reports are always computed from the
files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.arena import Arena
from agent.episode_journal import EpisodeJournal, file_name
from agent.evaluate import PolicyReport, Role, summarise
from agent.policy import Policy
from agent.rollout import check_errors, rollout_many
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.grader import Grader
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
        grader: Grader | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._arena, self._split, self._mode = arena, split, mode
        self._deadline_seconds, self._fail_share = deadline_seconds, fail_share
        self._on_warning, self._grader = on_warning, grader

    def play(
        self, policy: Policy, role: Role, questions: Sequence[Question], *, concurrency: int = 128, name: str = ""
    ) -> PolicyReport:
        """Return the report of `policy` (called `name`, if given) on `questions`; episodes on file are not repeated.

        Raises UpstreamError when more than `fail_share` of the episodes ended in an error; the others are on file.
        """
        name = name or policy.name
        journal = EpisodeJournal(self.path(name))
        journal.mend()
        done = journal.read()
        missing = [question for question in questions if question.id not in done]
        if missing:
            played = self._play(policy, missing, concurrency, journal)
            done |= {trajectory.question_id: trajectory for trajectory in played}
            journal.replace(done.values())
            if self._fail_share is not None and (warning := check_errors(played, self._fail_share)):
                self._on_warning(f"{name}: {warning}")
        if self._grader is not None:
            done |= self._judged(self._grader, done, questions, journal)
        return summarise(name, role, self._split, [done[question.id] for question in questions], questions, self._mode)

    def _judged(
        self, grader: Grader, done: dict[str, Trajectory], questions: Sequence[Question], journal: EpisodeJournal
    ) -> dict[str, Trajectory]:
        """Return the episodes, with a verdict where no rule decides; each is kept and not asked for again."""
        played = [done[question.id] for question in questions]
        judged = asyncio.run(grader.judge_all(played, questions))
        if judged != played:
            journal.replace((done | {one.question_id: one for one in judged}).values())
        return {one.question_id: one for one in judged}

    def path(self, name: str) -> Path:
        """Return the file of a policy's trajectories."""
        return self.folder / file_name(name)

    def trajectories(self, name: str, *, with_errors: bool = False) -> dict[str, Trajectory]:
        """Return the episodes on file of a policy, by question id; those that an outage ended only if asked for."""
        return EpisodeJournal(self.path(name)).read(with_errors=with_errors)

    def replace(self, name: str, trajectories: Mapping[str, Trajectory]) -> None:
        """Write the episodes of a policy anew, by question id: the same ones, with what was said of them since."""
        EpisodeJournal(self.path(name)).replace(trajectories.values())

    def forget(self, name: str) -> None:
        """Remove the episodes of a policy: they are of a model that has changed since."""
        self.path(name).unlink(missing_ok=True)

    def _play(
        self, policy: Policy, questions: Sequence[Question], concurrency: int, journal: EpisodeJournal
    ) -> list[Trajectory]:
        arena = self._arena.with_limits(policy.limits) if policy.limits else self._arena
        rollouts = asyncio.run(
            rollout_many(
                policy,
                arena.envs(questions),
                concurrency=concurrency,
                deadline_seconds=self._deadline_seconds,
                fail_share=self._fail_share,
                on_done=journal.append,
            )
        )
        return [rollout.trajectory for rollout in rollouts]
