"""Groups: the G rollouts of one question, and what they were worth relative to each other.

Knows nothing of tensors or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.arena import Arena
from agent.grpo.advantages import AdvantageScale, group_advantages, has_spread
from agent.grpo.samples import TrainingSample
from agent.policy import Policy
from agent.rollout import Rollout, rollout_many
from inbox_env.questions import Question
from rewards.base import Reward, RewardFn


@dataclass(frozen=True, slots=True)
class Group:
    """All rollouts of one question with their rewards, in the same order."""

    question: Question
    rollouts: tuple[Rollout, ...]
    rewards: tuple[Reward, ...]

    @property
    def values(self) -> list[float | None]:
        """Reward values; None where a rollout could not be scored."""
        return [reward.value for reward in self.rewards]

    @property
    def has_spread(self) -> bool:
        """Whether the group can teach anything."""
        return has_spread(self.values)

    def samples(self, scale: AdvantageScale, policy_version: int) -> list[TrainingSample]:
        """Return what the trainer learns from: rollouts that were scored and that sampled something."""
        advantages = group_advantages(self.values, scale)
        return [
            TrainingSample.from_trace(rollout.trace, advantage, policy_version)
            for rollout, value, advantage in zip(self.rollouts, self.values, advantages, strict=True)
            if rollout.trace is not None and value is not None
        ]


async def play_groups(
    policy: Policy,
    arena: Arena,
    questions: Sequence[Question],
    group_size: int,
    reward_fn: RewardFn,
    *,
    concurrency: int,
    deadline_seconds: float,
) -> list[Group]:
    """Return one group for each question, all played at once and graded."""
    envs = arena.envs(question for question in questions for _ in range(group_size))
    rollouts = await rollout_many(policy, envs, concurrency=concurrency, deadline_seconds=deadline_seconds)
    groups = []
    for number, question in enumerate(questions):
        members = tuple(rollouts[number * group_size : (number + 1) * group_size])
        rewards = tuple(reward_fn(member.trajectory, question) for member in members)
        groups.append(Group(question, members, rewards))
    return groups
