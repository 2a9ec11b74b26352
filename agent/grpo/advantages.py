"""Advantages of one group: how much better each rollout was than its siblings.

Knows nothing of tokens, tensors or where a reward came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

AdvantageScale = Literal["none", "std"]


def group_advantages(rewards: Sequence[float | None], scale: AdvantageScale = "none") -> list[float]:
    """Return one advantage per rollout of a group; they sum to 0.

    A reward of None is unscorable: its advantage is 0 and it does not count in the mean. A group whose scored
    rewards are all equal gets exact zeros. `scale` "none" subtracts the mean only (Dr. GRPO, arXiv 2503.20783),
    "std" also divides by the group's population standard deviation (GRPO, arXiv 2402.03300).
    """
    scored = _scored(rewards)
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    mean = math.fsum(scored) / len(scored)
    spread = math.sqrt(math.fsum((reward - mean) ** 2 for reward in scored) / len(scored)) if scale == "std" else 1.0
    return [0.0 if reward is None else (reward - mean) / spread for reward in rewards]


def has_spread(rewards: Sequence[float | None]) -> bool:
    """Return whether a group can teach anything: at least two scored rewards that differ."""
    scored = _scored(rewards)
    return len(scored) > 1 and min(scored) != max(scored)


def _scored(rewards: Sequence[float | None]) -> list[float]:
    scored = [reward for reward in rewards if reward is not None]
    if not all(map(math.isfinite, scored)):
        raise ValueError(f"rewards must be finite or None, not {list(rewards)}")
    return scored
