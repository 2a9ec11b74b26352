"""Grading, the one way for training, evaluation and benchmark: a verdict where one is needed, then the reward.

The verdict is kept in the trajectory, so that every later reader (reports, replays, the ladder) computes the same
without a judge. A reward that cannot be trusted is masked and said to be bad. Knows nothing of tokens or advantages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.base import NotFiniteError, Reward, RewardFn
from rewards.judge import Judge
from rewards.ruler import Ruler

Range = tuple[float, float]
T = TypeVar("T")
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Graded:
    """An episode with its verdict, and what it was worth; `is_bad`: the reward was no number, or out of range."""

    trajectory: Trajectory
    reward: Reward
    is_bad: bool = False

    def recorded(self) -> Trajectory:
        """Return the trajectory with the reward in it."""
        return self.trajectory.model_copy(update={"reward": self.reward.value, "reward_parts": self.reward.parts})


class Grader:
    """Grades by `reward_fn`, asking `judge` (if any) where it must; `ruler`, if any, ranks groups instead.

    `allowed` is the least and the most that a reward may be.
    """

    def __init__(
        self,
        reward_fn: RewardFn,
        *,
        judge: Judge | None = None,
        ruler: Ruler | None = None,
        allowed: Range | None = None,
    ) -> None:
        self.reward_fn, self.judge, self.ruler, self.allowed = reward_fn, judge, ruler, allowed

    async def judged(self, trajectory: Trajectory, question: Question) -> Trajectory:
        """Return the trajectory with a verdict where one is needed and there is a judge."""
        return trajectory if self.judge is None else await self.judge.judged(trajectory, question)

    async def judge_all(self, trajectories: Sequence[Trajectory], questions: Sequence[Question]) -> list[Trajectory]:
        """Return the trajectories with verdicts, each a play of the question at its place."""
        pairs = zip(trajectories, questions, strict=True)
        return await all_of(self.judged(*pair) for pair in pairs)

    async def grade(self, trajectory: Trajectory, question: Question) -> Graded:
        """Return one episode graded by the reward function, also where groups are ranked."""
        judged = await self.judged(trajectory, question)
        return Graded(judged, *grade(self.reward_fn, judged, question, self.allowed))

    async def grade_group(self, trajectories: Sequence[Trajectory], question: Question) -> list[Graded]:
        """Return the episodes of one question graded, in their order."""
        if self.ruler is None:
            return await all_of(self.grade(trajectory, question) for trajectory in trajectories)
        judged = await self.judge_all(trajectories, [question] * len(trajectories))
        rewards = await self.ruler.rank(judged, question)
        return [Graded(trajectory, reward) for trajectory, reward in zip(judged, rewards, strict=True)]


def grade(
    reward_fn: RewardFn, trajectory: Trajectory, question: Question, allowed: Range | None = None
) -> tuple[Reward, bool]:
    """Return the reward, and whether it was bad: not a number, or outside the range that was declared.

    A bad one is unscorable: its rollout neither teaches nor counts in its group's baseline. What else a reward
    function raises is a mistake that no mask may hide. An episode that an outage ended says nothing of the policy: no
    reward function sees it.
    """
    if trajectory.stop_reason is StopReason.ERROR:
        return Reward.unscorable(trajectory.error or "the episode ended in an error"), False
    try:
        reward: Reward | None = reward_fn(trajectory, question)
    except NotFiniteError as error:
        return Reward.unscorable(str(error)), True
    if not isinstance(reward, Reward):
        return Reward.unscorable(f"the reward function returned {type(reward).__name__}"), True
    if allowed and reward.value is not None:
        low, high = allowed
        if not low - _ROUNDING <= reward.value <= high + _ROUNDING:
            return Reward.unscorable(f"reward {reward.value:g} is outside {low:g}..{high:g}"), True
    return reward, False


async def all_of(waiting: Iterable[Awaitable[T]]) -> list[T]:
    """Return what all give, in their order; when one fails the others are let finish, since what a judge says is paid.

    Then the first failure is raised.
    """
    results = await asyncio.gather(*waiting, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
