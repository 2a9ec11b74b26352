"""Policy: whatever acts in an inbox. One policy plays many episodes at once; an actor plays one.

A policy sees an `Opening` and observations, never the gold answer: privileged scripted policies get it
at construction, so that the seam itself cannot leak. Knows nothing of rewards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from inbox_env.actions import Action, Observation, Opening
from inbox_env.env import EnvLimits

__all__ = ["Actor", "Opening", "Policy", "PolicyFailure", "TokenTrace", "Usage"]


class PolicyFailure(Exception):
    """What a policy acts through is out of order: the episode ends as an error, which is no answer.

    `kind` names the part (api), `what` what happened, in words that hold no secret and no mail.
    """

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were read by a model and produced by it."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens - other.prompt_tokens, self.completion_tokens - other.completion_tokens)


@dataclass(slots=True)
class TokenTrace:
    """What a token policy sampled, in order; the three lists have equal length.

    `action_mask` is 1 on sampled tokens and 0 on prompt and observation tokens, where `logprobs` is 0.0.
    """

    token_ids: list[int] = field(default_factory=list)
    action_mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def extend(self, token_ids: list[int], logprobs: list[float] | None = None) -> None:
        """Append observation tokens (no logprobs) or sampled tokens (with one logprob each)."""
        sampled = logprobs is not None
        if logprobs is not None and len(logprobs) != len(token_ids):
            raise ValueError(f"{len(token_ids)} tokens but {len(logprobs)} logprobs")
        self.token_ids += token_ids
        self.action_mask += [int(sampled)] * len(token_ids)
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(token_ids)


class Actor(Protocol):
    """Plays one episode."""

    trace: TokenTrace | None  # None for policies without tokens
    is_truncated: bool  # the last action was cut by a token limit

    @property
    def usage(self) -> Usage:
        """What the episode has cost so far."""
        ...

    async def act(self, observation: Observation | None) -> Action:
        """Return the next action; `observation` is None on the first turn."""
        ...

    def close(self) -> None:
        """Free what the episode held (cache rows, connections); may be called twice."""
        ...


class Policy(Protocol):
    """A named way of acting."""

    name: str
    limits: EnvLimits | None  # what it was made for; None: whatever the caller uses

    def start(self, opening: Opening) -> Actor:
        """Return a fresh actor for one episode."""
        ...
