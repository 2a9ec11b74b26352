"""Samples turns for many requests at once: a queue with a limit, a deadline each, and an end when the client leaves.

The engine lives in a thread with a loop of its own, because a forward pass must not hold up the server. Knows nothing
of text or of the wire.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.sampling.engine import Sample
from agent.sampling.loop_thread import LoopThread
from agent.sampling.torch_engine import TorchEngine
from agent.sampling.torch_session import OnToken
from scripts.model_server.failures import ApiError

_LONGEST_WISH = 60
_MEMORY = 0.9  # of how long a turn took


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one turn is to be sampled."""

    max_tokens: int
    seed: int
    temperature: float
    top_p: float


class Generator:
    """Samples from `engine`, `num_slots` turns at once; `num_queued` more may wait, and others are sent away."""

    def __init__(self, engine: TorchEngine, *, num_slots: int, num_queued: int, deadline_seconds: float) -> None:
        self._engine = engine
        self._num_slots, self._num_queued = num_slots, num_queued
        self._deadline_seconds = deadline_seconds
        self._thread = LoopThread("sampling")
        self._mean_seconds = 1.0
        self.num_open = 0

    async def sample(self, prompt_ids: list[int], drawing: Drawing, on_token: OnToken | None = None) -> Sample:
        """Return one turn; cancelling frees its row. `on_token` is called in the engine's thread and must not raise.

        Raises ApiError: 429 when the queue is full, 504 past the deadline.
        """
        loop = asyncio.get_running_loop()
        with self._admitted():
            started = loop.time()
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    return await self._thread.call(self._sample(prompt_ids, drawing, on_token))
            except TimeoutError:
                what = f"no turn within {self._deadline_seconds:g} seconds"
                raise ApiError(504, what, code="deadline_exceeded") from None
            finally:
                self._mean_seconds += (1 - _MEMORY) * (loop.time() - started - self._mean_seconds)

    def close(self) -> None:
        """End the engine's thread."""
        self._thread.close()

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self.num_open >= self._num_slots + self._num_queued:
            wish = min(_LONGEST_WISH, max(1, math.ceil(self._mean_seconds * self.num_open / self._num_slots)))
            what = f"{self.num_open} requests are under way or waiting: try again in {wish} s"
            raise ApiError(429, what, code="queue_full", retry_after=wish)
        self.num_open += 1
        try:
            yield
        finally:
            self.num_open -= 1

    async def _sample(self, prompt_ids: list[int], drawing: Drawing, on_token: OnToken | None) -> Sample:
        session = self._engine.open(drawing.seed, drawing.temperature, drawing.top_p)
        try:
            return await session.sample(prompt_ids, drawing.max_tokens, on_token)
        finally:
            session.close()
