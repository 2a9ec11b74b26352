"""Grading the rollouts of a group: verdicts and rewards from the grader, and one that ran long pays for it.

Knows nothing of advantages, and of tokens only how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.rollout import Rollout
from inbox_env.questions import Question
from rewards.base import Reward
from rewards.grader import Grader

MAX_UNSCORABLE = 0.5  # of a group: what is left says too little of which rollout was better


@dataclass(frozen=True, slots=True)
class Overlong:
    """DAPO's soft punishment (arXiv 2503.14476, equation 13): none up to `buffer` tokens below `limit`, then linear.

    At the limit it reaches `penalty`, 0 or below.
    """

    limit: int
    buffer: int
    penalty: float

    def of(self, num_tokens: int) -> float:
        """Return what an episode of so many tokens pays, 0 or below."""
        if self.buffer == 0:
            return 0.0
        over = num_tokens - (self.limit - self.buffer)
        return self.penalty * min(max(over / self.buffer, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class GradedRollouts:
    """Rollouts with their verdicts, their rewards in the same order, and how many rewards were bad."""

    rollouts: tuple[Rollout, ...]
    rewards: tuple[Reward, ...]
    num_bad: int


async def grade_rollouts(
    grader: Grader, rollouts: Sequence[Rollout], question: Question, overlong: Overlong | None = None
) -> GradedRollouts:
    """Return the rollouts of one question, graded."""
    graded = await grader.grade_group([rollout.trajectory for rollout in rollouts], question)
    return GradedRollouts(
        tuple(replace(rollout, trajectory=one.trajectory) for rollout, one in zip(rollouts, graded, strict=True)),
        tuple(
            with_overlong(one.reward, len(rollout.trace.token_ids) if rollout.trace else 0, overlong)
            for rollout, one in zip(rollouts, graded, strict=True)
        ),
        sum(one.is_bad for one in graded),
    )


async def judge_rollouts(grader: Grader, rollouts: Sequence[Rollout], questions: Sequence[Question]) -> list[Rollout]:
    """Return the rollouts with verdicts where they are needed, each a play of the question at its place."""
    judged = await grader.judge_all([rollout.trajectory for rollout in rollouts], questions)
    return [replace(rollout, trajectory=one) for rollout, one in zip(rollouts, judged, strict=True)]


def countable(rewards: Sequence[Reward]) -> list[float | None]:
    """Return the values that a group is compared by: none of them when more than half could not be scored."""
    values = [reward.value for reward in rewards]
    if sum(value is None for value in values) > MAX_UNSCORABLE * len(values):
        return [None] * len(values)
    return values


def with_overlong(reward: Reward, num_tokens: int, overlong: Overlong | None) -> Reward:
    """Return the reward with the part `overlong` added where the episode's length costs something."""
    paid = overlong.of(num_tokens) if overlong else 0.0
    if reward.value is None or not paid:
        return reward
    return replace(reward, value=reward.value + paid, parts={**reward.parts, "overlong": paid})
