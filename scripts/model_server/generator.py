"""Samples turns for many requests at once: a queue with a limit, a deadline each, and an end when the client leaves.

The engine lives in a thread with a loop of its own, because a forward pass must not hold up the server. Knows nothing
of text or of the wire.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from agent.sampling.engine import Sample
from agent.sampling.loop_thread import LoopThread
from agent.sampling.sample_tokens import Draw
from agent.sampling.torch_engine import TorchEngine
from agent.sampling.torch_session import OnToken, TorchSession
from scripts.model_server.failures import ApiError

_LONGEST_WISH = 60
_MEMORY = 0.9  # of how long a turn took


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one turn is to be sampled."""

    max_tokens: int
    seed: int
    draw: Draw


class KeptSessions:
    """Conversations whose last turn was sampled here: the next one goes on where it ended, instead of from the start.

    They have what `num_rows` rows the turns under way leave free; who was idle longest gives way. For one thread.
    """

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self._num_busy = 0
        self._kept: list[tuple[list[int], TorchSession]] = []

    def take(self, prompt_ids: list[int]) -> tuple[list[int], TorchSession] | None:
        """Make room for a turn; return the conversation that it goes on with and its tokens so far, if it is kept."""
        fitting = [one for one in self._kept if len(one[0]) < len(prompt_ids) and prompt_ids[: len(one[0])] == one[0]]
        found = max(fitting, key=lambda one: len(one[0]), default=None)
        if found is not None:
            self._kept.remove(found)
        self._num_busy += 1
        while self._kept and len(self._kept) + self._num_busy > self._num_rows:
            self._kept.pop(0)[1].close()
        return None if found is None or found[1].is_closed else found

    def give_back(self, token_ids: list[int], session: TorchSession | None) -> None:
        """End a turn; keep its conversation, unless it ended or there is no room."""
        self._num_busy -= 1
        if session is None:
            return
        if session.is_closed or session.is_full or len(self._kept) + self._num_busy >= self._num_rows:
            session.close()
        else:
            self._kept.append((token_ids, session))

    def clear(self) -> None:
        """Give all rows back that nobody samples in."""
        while self._kept:
            self._kept.pop()[1].close()

    def __len__(self) -> int:
        return len(self._kept)


class Ticket:
    """A place among the requests under way; given back once, however often that is tried."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Give the place back."""
        if self._give_back is not None:
            self._give_back()
            self._give_back = None


class Generator:
    """Samples from `engine`, `num_slots` turns at once; `num_queued` more may wait, and others are sent away."""

    def __init__(self, engine: TorchEngine, *, num_slots: int, num_queued: int, deadline_seconds: float) -> None:
        self._engine = engine
        self.kept = KeptSessions(num_slots)
        self._num_slots, self._num_queued = num_slots, num_queued
        self._deadline_seconds = deadline_seconds
        self._thread = LoopThread("sampling")
        self._mean_seconds = 1.0
        self.num_open = 0

    def admit(self) -> Ticket:
        """Return a place for one request, before anything is done for it; raises ApiError 429 when there is none."""
        if self.num_open >= self._num_slots + self._num_queued:
            wish = min(_LONGEST_WISH, max(1, math.ceil(self._mean_seconds * self.num_open / self._num_slots)))
            what = f"{self.num_open} requests are under way or waiting: try again in {wish} s"
            raise ApiError(429, what, code="queue_full", retry_after=wish)
        self.num_open += 1
        return Ticket(self._leave)

    def _leave(self) -> None:
        self.num_open -= 1

    async def sample(self, prompt_ids: list[int], drawing: Drawing, on_token: OnToken | None = None) -> Sample:
        """Return one turn; cancelling frees its row. `on_token` is called in the engine's thread and must not raise.

        Raises ApiError 504 past the deadline.
        """
        loop = asyncio.get_running_loop()
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
        """End the engine's thread; the engine can be used by another."""
        self._thread.run(self._clear())
        self._thread.close()

    async def _clear(self) -> None:
        self.kept.clear()

    async def _sample(self, prompt_ids: list[int], drawing: Drawing, on_token: OnToken | None) -> Sample:
        found = self.kept.take(prompt_ids)
        num_known, session = (len(found[0]), found[1]) if found else (0, None)
        sampled: list[int] = []
        try:
            if session is None:
                session = self._engine.open(drawing.seed, drawing.draw.temperature, drawing.draw.top_p)
            else:
                session.redraw(drawing.seed, drawing.draw)
            sample = await session.sample(prompt_ids[num_known:], drawing.max_tokens, on_token)
            sampled = sample.token_ids
            return sample
        except BaseException:
            if session is not None:
                session.close()
            raise
        finally:
            self.kept.give_back(prompt_ids + sampled, session)
