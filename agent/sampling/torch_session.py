"""One growing sequence of the torch engine, and the request that its `sample` puts to the pump.

Knows nothing of the model; the engine writes the fields that say what is in the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from agent.sampling.engine import Sample
from agent.sampling.sample_tokens import Draw

OnToken = Callable[[int], bool]  # told of every token as it is sampled; True ends the sample there

UNIFORMS_PER_DRAW = 64


@dataclass(eq=False, slots=True)
class Request:
    """One `sample` call in flight: made by its session, filled by the pump."""

    session: TorchSession
    token_ids: list[int]
    max_tokens: int
    future: asyncio.Future[Sample]
    on_token: OnToken | None = None
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def row(self) -> int:
        """The session's cache row; only sessions that wait have none."""
        row = self.session.row
        assert row is not None, "a request past the waiting line has a row"
        return row

    @property
    def tokens_to_write(self) -> list[int]:
        """What goes into the cache before the first token is sampled."""
        unwritten = self.session.unwritten
        return self.token_ids if unwritten is None else [unwritten, *self.token_ids]

    def resolve(self, *, is_stopped: bool) -> None:
        """Hand the sample to whoever awaits it."""
        if not self.future.done():
            self.future.set_result(Sample(self.sampled, self.logprobs, is_stopped))

    def fail(self, error: BaseException) -> None:
        """Raise `error` where the sample is awaited; what is no `Exception` cancels."""
        if self.future.done():
            return
        if isinstance(error, Exception):
            self.future.set_exception(error)
        else:
            self.future.cancel()


class TorchSession:
    """One sequence; takes a cache row at its first `sample` and gives it back on `close`."""

    def __init__(
        self,
        seed: int,
        draw: Draw,
        vocab_size: int,
        submit: Callable[[Request], None],
        release: Callable[[TorchSession], None],
    ) -> None:
        self.redraw(seed, draw)
        self._vocab_size = vocab_size
        self._submit, self._release = submit, release
        self.row: int | None = None
        self.unwritten: int | None = None  # the last sampled token: its keys are written when a next one follows
        self.request: Request | None = None
        self.is_closed = False
        self.is_full = False  # of context

    async def sample(self, token_ids: list[int], max_tokens: int, on_token: OnToken | None = None) -> Sample:
        """Append `token_ids`, then sample until a stop token, `max_tokens`, the end of the context, or `on_token` ends.

        Tokens that do not fit are not appended: the sample is empty, as are all later ones. A cancelled call
        closes the session. Raises what failed in the engine, and then the session is closed too.
        """
        self._check(token_ids, max_tokens)
        if self.is_full:
            return Sample([], [], is_stopped=False)
        future = asyncio.get_running_loop().create_future()
        self.request = Request(self, list(token_ids), max_tokens, future, on_token)
        try:
            self._submit(self.request)
            return await self.request.future
        except BaseException:
            self.close()
            raise
        finally:
            self.request = None

    def redraw(self, seed: int, draw: Draw) -> None:
        """Sample what comes next as a session would that was opened with these."""
        self.draw = draw
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._uniforms: list[float] = []

    def close(self) -> None:
        """Give the row back; a call in flight is cancelled. May be called twice."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.request is not None:
            self.request.future.cancel()
        self._release(self)

    def next_uniform(self) -> float:
        """Return the next number in [0, 1) of this session's stream, exact in float32."""
        if not self._uniforms:
            self._uniforms = self._random.random(UNIFORMS_PER_DRAW, dtype=np.float32)[::-1].tolist()
        return self._uniforms.pop()

    def _check(self, token_ids: list[int], max_tokens: int) -> None:
        if self.is_closed or self.request is not None:
            raise RuntimeError("the session is closed" if self.is_closed else "the session is already sampling")
        if max_tokens < 1 or (not token_ids and self.unwritten is None):
            raise ValueError("a session needs at least one token before it can sample, and max_tokens >= 1")
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self._vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._vocab_size})")
