"""Advantages: how much better each rollout was than its siblings.

| baseline | scale | known as | source |
|---|---|---|---|
| mean | none | Dr. GRPO | arXiv 2503.20783 |
| mean | std | GRPO | arXiv 2402.03300 |
| mean | batch | Lite PPO | arXiv 2508.08221 |
| leave_one_out | none | RLOO | arXiv 2402.14740 |

Knows nothing of tokens, tensors or where a reward came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

AdvantageScale = Literal["none", "std", "batch"]
Baseline = Literal["mean", "leave_one_out"]
Rewards = Sequence[float | None]


def step_advantages(
    groups: Sequence[Rewards], scale: AdvantageScale = "none", baseline: Baseline = "mean"
) -> list[list[float]]:
    """Return one advantage per rollout of each group of a step; those of a group sum to 0.

    A reward of None is unscorable: its advantage is 0 and it does not count in the baseline. A group whose scored
    rewards are all equal gets exact zeros. `scale` divides by the population standard deviation of the group's rewards
    (std) or of all rewards of the groups that differ (batch).
    """
    centred = [_centred(group, baseline) for group in groups]
    if scale == "std":
        return [_divided(advantages, group) for advantages, group in zip(centred, groups, strict=True)]
    if scale == "batch":
        everything = [reward for group in groups if has_spread(group) for reward in group]
        return [_divided(advantages, everything) for advantages in centred]
    return centred


def has_spread(rewards: Rewards) -> bool:
    """Return whether a group can teach anything: at least two scored rewards that differ."""
    scored = _scored(rewards)
    return len(scored) > 1 and min(scored) != max(scored)


def _centred(rewards: Rewards, baseline: Baseline) -> list[float]:
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    scored = _scored(rewards)
    mean = math.fsum(scored) / len(scored)
    stretch = len(scored) / (len(scored) - 1) if baseline == "leave_one_out" else 1.0  # r - mean of the others
    return [0.0 if reward is None else (reward - mean) * stretch for reward in rewards]


def _divided(advantages: Sequence[float], rewards: Rewards) -> list[float]:
    """Return `advantages` over the standard deviation of `rewards`; zeros stay zeros, without a 0/0."""
    if not any(advantages):
        return [0.0] * len(advantages)
    scored = _scored(rewards)
    mean = math.fsum(scored) / len(scored)
    largest = max(abs(reward - mean) for reward in scored)  # squares of tiny differences would vanish
    spread = math.sqrt(math.fsum(((reward - mean) / largest) ** 2 for reward in scored) / len(scored))
    return [advantage / largest / spread for advantage in advantages]


def _scored(rewards: Rewards) -> list[float]:
    scored = [reward for reward in rewards if reward is not None]
    if not all(map(math.isfinite, scored)):
        raise ValueError(f"rewards must be finite or None, not {list(rewards)}")
    return scored
