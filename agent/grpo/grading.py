"""Grading rollouts: a reward that cannot be trusted is masked and counted, and one that ran long pays for it.

Knows nothing of groups, advantages or tokens beyond how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.base import NotFiniteError, Reward, RewardFn
from rewards.ladder import LadderConfig

Range = tuple[float, float]
_ROUNDING = 1e-9


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


def declared_range(config: LadderConfig) -> Range:
    """Return the least and the most that an episode can be worth on this ladder."""
    room = config.tier_gap / 2  # what all penalties together may take
    best_right = config.right + config.cited_bonus + config.brevity_bonus + config.process_bonus
    return config.wrong - room, max(best_right, config.abstained_right)


def grade(
    reward_fn: RewardFn, trajectory: Trajectory, question: Question, allowed: Range | None = None
) -> tuple[Reward, bool]:
    """Return the reward, and whether it was bad: not a number, or outside the range that was declared.

    A bad one is unscorable: its rollout neither teaches nor counts in its group's baseline. What else a reward
    function raises is a mistake that no mask may hide.
    """
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


def with_overlong(reward: Reward, num_tokens: int, overlong: Overlong | None) -> Reward:
    """Return the reward with the part `overlong` added where the episode's length costs something."""
    paid = overlong.of(num_tokens) if overlong else 0.0
    if reward.value is None or not paid:
        return reward
    return replace(reward, value=reward.value + paid, parts={**reward.parts, "overlong": paid})
