"""Groups: the G rollouts of one question, and what they were worth relative to each other.

Knows nothing of tensors or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from agent.arena import Arena
from agent.grpo.advantages import AdvantageScale, Baseline, has_spread, step_advantages
from agent.grpo.grading import Overlong, countable, grade_rollouts
from agent.grpo.samples import TrainingSample
from agent.policy import Policy
from agent.rollout import Rollout, rollout_many
from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import write_trajectories
from rewards.base import Reward
from rewards.grader import Grader, all_of

CUT = frozenset({StopReason.MAX_TOKENS, StopReason.DEADLINE})  # ended in the middle of what it was doing


@dataclass(frozen=True, slots=True)
class Group:
    """All rollouts of one question with their rewards, in the same order."""

    question: Question
    rollouts: tuple[Rollout, ...]
    rewards: tuple[Reward, ...]
    num_bad_rewards: int = 0

    @property
    def values(self) -> list[float | None]:
        """Reward values; None where a rollout could not be scored, and everywhere when that is most of the group."""
        return countable(self.rewards)

    @property
    def has_spread(self) -> bool:
        """Whether the group can teach anything."""
        return has_spread(self.values)


def training_samples(
    groups: Sequence[Group],
    policy_version: int,
    *,
    scale: AdvantageScale = "none",
    baseline: Baseline = "mean",
    is_cut_masked: bool = False,
    only_spread: bool = False,
) -> list[TrainingSample]:
    """Return what the trainer learns from: rollouts that were scored and that sampled something.

    `is_cut_masked` leaves out those that a token limit or the deadline cut (DAPO's overlong filtering); their rewards
    still count in the baseline. `only_spread` leaves out groups that teach nothing.
    """
    advantages = step_advantages([group.values for group in groups], scale, baseline)
    lines = count(1)  # asked last below: zip must not take a line for a rollout that is not there
    return [
        TrainingSample.from_trace(rollout.trace, advantage, policy_version, line)
        for group, row in zip(groups, advantages, strict=True)
        for rollout, value, advantage, line in zip(group.rollouts, group.values, row, lines, strict=False)
        if rollout.trace is not None
        and value is not None
        and not (is_cut_masked and rollout.trajectory.stop_reason in CUT)
        and not (only_spread and not group.has_spread)
    ]


async def play_groups(
    policy: Policy,
    arena: Arena,
    questions: Sequence[Question],
    group_size: int,
    grader: Grader,
    *,
    concurrency: int,
    deadline_seconds: float,
    overlong: Overlong | None = None,
) -> list[Group]:
    """Return one group for each question, all played at once and graded."""
    envs = arena.envs(question for question in questions for _ in range(group_size))
    rollouts = await rollout_many(policy, envs, concurrency=concurrency, deadline_seconds=deadline_seconds)
    members = [rollouts[start : start + group_size] for start in range(0, len(rollouts), group_size)]
    graded = await all_of(
        grade_rollouts(grader, group, question, overlong) for group, question in zip(members, questions, strict=True)
    )
    return [
        Group(question, one.rollouts, one.rewards, one.num_bad) for question, one in zip(questions, graded, strict=True)
    ]


def write_groups(path: Path, groups: Sequence[Group]) -> None:
    """Write the trajectories of all groups with their rewards and verdicts, one a line."""
    path.parent.mkdir(exist_ok=True)
    write_trajectories(
        path,
        (
            rollout.trajectory.model_copy(update={"reward": reward.value, "reward_parts": reward.parts})
            for group in groups
            for rollout, reward in zip(group.rollouts, group.rewards, strict=True)
        ),
    )
