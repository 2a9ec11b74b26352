"""What a sampling engine promises: token ids in, token ids and their logprobs out, cache kept between turns.

Many sessions are open at once and every one advances on its own. Knows nothing of text, chat or tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled continuation: the stop token, when reached, is the last of `token_ids`.

    `logprobs` are natural logs under the temperature that was sampled with, one per token.
    """

    token_ids: list[int]
    logprobs: list[float]
    is_stopped: bool  # False: cut by max_tokens or by the context length


class Session(Protocol):
    """One sequence that grows: its keys and values stay in the engine until `close`."""

    async def sample(self, token_ids: list[int], max_tokens: int) -> Sample:
        """Append `token_ids` (prompt or observation), then sample until a stop token or `max_tokens`."""
        ...

    def close(self) -> None:
        """Give the row back; may be called twice."""
        ...


class SamplingEngine(Protocol):
    """Opens sessions. Sessions whose first tokens are equal share one prefill (a GRPO group's prompt)."""

    def open(self, seed: int) -> Session:
        """Return a session whose random stream is `seed`'s: the same whatever runs beside it."""
        ...


class TrainedEngine(SamplingEngine, Protocol):
    """A sampling engine whose model is being trained."""

    temperature: float

    def refresh(self) -> None:
        """Sample from the model's current weights: called after an optimiser step, between batches of rollouts."""
        ...

    def probe(self, token_ids: Sequence[int]) -> dict[str, list[float]]:
        """Return the logprobs of `token_ids[1:]` at temperature 1 under the weights that sample, by who samples.

        Called between batches of rollouts; whoever cannot tell is left out.
        """
        ...
