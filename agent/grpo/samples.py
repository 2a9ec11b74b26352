"""TrainingSample: one rollout as the trainer sees it. Made from a policy's token trace, consumed by packing.

Knows nothing of text, tools or rewards: only ids, which of them were sampled, and what they were worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.policy import TokenTrace


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One sequence: `action_mask` is 1 on sampled tokens, where `logprobs` are the sampler's; equal lengths.

    `policy_version` is the optimiser step whose weights sampled it; `line` is its line in the step's trajectory file,
    from 1 (0: not known).
    """

    token_ids: tuple[int, ...]
    action_mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    advantage: float
    policy_version: int = 0
    line: int = 0

    def __post_init__(self) -> None:
        lengths = len(self.token_ids), len(self.action_mask), len(self.logprobs)
        if len(set(lengths)) != 1:
            raise ValueError(f"token_ids, action_mask and logprobs differ in length: {lengths}")
        if not set(self.action_mask) <= {0, 1}:
            raise ValueError("action_mask holds something other than 0 and 1")
        if self.action_mask and self.action_mask[0]:
            raise ValueError("the first token is marked as sampled, but nothing came before it")
        if not (math.isfinite(self.advantage) and all(map(math.isfinite, self.logprobs))):
            raise ValueError("advantage and logprobs must be finite")

    @classmethod
    def from_trace(cls, trace: TokenTrace, advantage: float, policy_version: int = 0, line: int = 0) -> TrainingSample:
        """Return the sample of a finished rollout's trace."""
        ids, mask, logprobs = tuple(trace.token_ids), tuple(trace.action_mask), tuple(trace.logprobs)
        return cls(ids, mask, logprobs, advantage, policy_version, line)

    @property
    def num_actions(self) -> int:
        """Number of sampled tokens: the ones that are trained on."""
        return sum(self.action_mask)

    @property
    def num_inputs(self) -> int:
        """Number of tokens that a forward pass needs: all before the last sampled one."""
        return max((index for index, sampled in enumerate(self.action_mask) if sampled), default=0)
