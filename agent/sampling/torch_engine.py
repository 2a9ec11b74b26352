"""Sampling many sequences at once from a model in this process; every sequence advances on its own.

One pump task serves all sessions of an event loop: it appends what arrived, steps all active rows by one
token, resolves those that stopped and yields, so that their tool results can join the next step.
Knows nothing of text, chat or tools; the forward pass is `Decoder`'s.

A session's random numbers depend on its seed alone. Its logits depend in their last bits on what runs
beside it, because batched matrix products round differently with the batch: a token on the edge between
two intervals of the cumulative distribution can flip (rare, but expect it in float32).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agent.sampling.decoder import Append, Decoder
from agent.sampling.engine import Sample
from agent.sampling.sample_tokens import sample_tokens
from inbox_env.errors import DivergedError, UsageError

UNIFORMS_PER_DRAW = 64


@dataclass(eq=False, slots=True)
class Request:
    """One `sample` call in flight: made by a session, filled by the pump."""

    session: TorchSession
    token_ids: list[int]
    max_tokens: int
    future: asyncio.Future[Sample]
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class TorchSession:
    """One sequence; takes a cache row at its first `sample` and gives it back on `close`."""

    def __init__(self, engine: TorchEngine, seed: int) -> None:
        self._engine = engine
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._uniforms: list[float] = []
        self.row: int | None = None
        self.unwritten: int | None = None  # the last sampled token: its keys are written when a next one follows
        self.request: Request | None = None
        self.is_closed = False
        self.is_full = False

    async def sample(self, token_ids: list[int], max_tokens: int) -> Sample:
        """Append `token_ids`, then sample until a stop token, `max_tokens` or the end of the context.

        Tokens that do not fit are not appended: the sample is empty, as are all later ones.
        A cancelled call closes the session. Raises what the engine raised; the session is closed then too.
        """
        self._check(token_ids, max_tokens)
        if self.is_full:
            return Sample([], [], is_stopped=False)
        request = Request(self, list(token_ids), max_tokens, asyncio.get_running_loop().create_future())
        self.request = request
        self._engine.submit(request)
        try:
            return await request.future
        except BaseException:
            self.close()
            raise
        finally:
            self.request = None

    def close(self) -> None:
        """Give the row back; a call in flight is cancelled. May be called twice."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.request is not None:
            self.request.future.cancel()
        self._engine.release(self)

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
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self._engine.vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._engine.vocab_size})")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A first prompt that is in the cache: `session`'s row starts with it, `hidden` is its last hidden state."""

    session: TorchSession
    hidden: Tensor


class TorchEngine:
    """Samples from `model` (Llama, Qwen2 or Qwen3, on its device and in its dtype).

    Keeps keys and values of at most `max_rows` open sessions of at most `max_context` tokens; later sessions
    wait for a row. Open rows are always the first ones, so that attention reads one dense block.
    Not thread-safe; all calls belong to one event loop at a time.
    """

    def __init__(
        self,
        model: Any,
        *,
        stop_token_ids: set[int],
        max_rows: int = 256,
        max_context: int = 1024,
        temperature: float = 1.0,
        max_append_tokens: int = 8192,
    ) -> None:
        if temperature < 0 or max_rows < 1 or max_context < 1:
            raise UsageError(1, "temperature must be >= 0, max_rows and max_context >= 1", where="sampling engine")
        self.temperature = temperature
        self._stop_token_ids = frozenset(stop_token_ids)
        self._max_append_tokens = max_append_tokens
        self._decoder = Decoder(model, max_context)
        self._cache = self._decoder.new_cache(max_rows, max_context)
        self._owners: list[TorchSession] = []  # by row
        self._arrived: list[Request] = []  # have a row
        self._waiting: deque[Request] = deque()  # for a row
        self._active: list[Request] = []
        self._prompts: dict[tuple[int, ...], Prompt] = {}
        self._pump_task: asyncio.Task[None] | None = None

    @property
    def vocab_size(self) -> int:
        """Token ids are below it."""
        return self._decoder.vocab_size

    @property
    def num_open_rows(self) -> int:
        """How many sessions hold a row."""
        return len(self._owners)

    def open(self, seed: int) -> TorchSession:
        """Return a session whose random stream is `seed`'s."""
        return TorchSession(self, seed)

    def refresh(self) -> None:
        """Use the model's current weights: call it after an optimiser step, between batches of rollouts.

        Open rows keep the keys and values they have; prompts are not shared across a refresh.
        """
        self._decoder.refresh()
        self._prompts.clear()

    def submit(self, request: Request) -> None:
        """Queue a session's request and see that the pump runs."""
        if request.session.row is None:
            self._waiting.append(request)
        else:
            self._arrived.append(request)
        self._start_pump()

    def release(self, session: TorchSession) -> None:
        """Free a session's row; the last open row moves into the gap."""
        row, session.row = session.row, None
        if row is None:
            return
        for key in [key for key, prompt in self._prompts.items() if prompt.session is session]:
            del self._prompts[key]
        last = self._owners.pop()
        if last is not session:
            self._cache.copy(len(self._owners), row, self._cache.lengths[len(self._owners)])
            self._owners[row], last.row = last, row
        if self._waiting:
            self._start_pump()

    def _start_pump(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pump_task is None or self._pump_task.done() or self._pump_task.get_loop() is not loop:
            self._pump_task = loop.create_task(self._pump())

    async def _pump(self) -> None:
        """Serve until nothing can advance; `submit` and `release` start it again."""
        try:
            await asyncio.sleep(0)  # let everyone who is about to ask, ask
            while self._arrived or self._active or (self._waiting and self._has_free_row()):
                self._advance()
                await asyncio.sleep(0)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def _has_free_row(self) -> bool:
        return len(self._owners) < self._cache.max_rows

    @torch.inference_mode()
    def _advance(self) -> None:
        self._give_rows()
        self._append()
        self._step()

    def _give_rows(self) -> None:
        while self._waiting and self._has_free_row():
            request = self._waiting.popleft()
            if request.future.done():
                continue
            request.session.row = len(self._owners)
            self._cache.lengths[request.session.row] = 0
            self._owners.append(request.session)
            self._arrived.append(request)

    def _step(self) -> None:
        """Write every active row's last token and sample its next one."""
        self._active = [request for request in self._active if not request.future.done()]
        if not self._active:
            return
        self._active.sort(key=_row)
        rows = [_row(request) for request in self._active]
        tokens = [request.sampled[-1] for request in self._active]
        hidden = self._decoder.step(self._cache, rows, tokens)
        active, self._active = self._active, []
        self._sample(active, hidden)

    def _append(self) -> None:
        """Write the tokens that arrived and sample the first token after each."""
        arrived, self._arrived = self._arrived, []
        appends: list[tuple[Request, list[int]]] = []
        forks: list[tuple[Request, tuple[int, ...]]] = []
        firsts: set[tuple[int, ...]] = set()
        for request in arrived:
            if request.future.done():
                continue
            session = request.session
            unwritten = [] if session.unwritten is None else [session.unwritten]
            token_ids = unwritten + request.token_ids
            length = self._cache.lengths[_row(request)]
            if length + len(token_ids) >= self._cache.max_context:
                session.is_full = True
                self._resolve(request, is_stopped=False)
                continue
            if length == 0:
                prompt = tuple(token_ids)
                if prompt in self._prompts or prompt in firsts:
                    forks.append((request, prompt))
                    continue
                firsts.add(prompt)
            appends.append((request, token_ids))
        self._append_batches(appends)
        self._fork(forks)

    def _append_batches(self, appends: list[tuple[Request, list[int]]]) -> None:
        while appends:
            batch: list[tuple[Request, list[int]]] = []
            num_tokens = 0
            while appends and (not batch or num_tokens + len(appends[-1][1]) <= self._max_append_tokens):
                batch.append(appends.pop())
                num_tokens += len(batch[-1][1])
            is_first = [self._cache.lengths[_row(request)] == 0 for request, _ in batch]
            hidden = self._decoder.append(self._cache, [Append(_row(request), ids) for request, ids in batch])
            ends = torch.tensor([len(ids) for _, ids in batch], device=hidden.device).cumsum(0) - 1
            hidden = hidden[ends]
            for index, (request, ids) in enumerate(batch):
                if is_first[index]:
                    self._prompts[tuple(ids)] = Prompt(request.session, hidden[index])
            self._sample([request for request, _ in batch], hidden)

    def _fork(self, forks: list[tuple[Request, tuple[int, ...]]]) -> None:
        if not forks:
            return
        for request, key in forks:
            source = self._prompts[key].session.row
            assert source is not None, "a closed session's prompt is forgotten"
            self._cache.copy(source, _row(request), len(key))
        self._sample([request for request, _ in forks], torch.stack([self._prompts[key].hidden for _, key in forks]))

    def _sample(self, requests: list[Request], hidden: Tensor) -> None:
        uniforms = torch.tensor([request.session.next_uniform() for request in requests], dtype=torch.float32)
        logits = self._decoder.logits(hidden)
        tokens, logprobs = sample_tokens(logits, uniforms.to(logits.device), self.temperature)
        if not bool(logprobs.isfinite().all()):
            raise DivergedError(1, "the model's logits are not finite", where="sampling", next_step="lower the rate")
        for request, token, logprob in zip(requests, tokens.tolist(), logprobs.tolist(), strict=True):
            self._take(request, token, logprob)

    def _take(self, request: Request, token: int, logprob: float) -> None:
        request.sampled.append(token)
        request.logprobs.append(logprob)
        request.session.unwritten = token
        is_stopped = token in self._stop_token_ids
        is_full = self._cache.lengths[_row(request)] + 1 >= self._cache.max_context
        request.session.is_full = is_full
        if is_stopped or is_full or len(request.sampled) >= request.max_tokens:
            self._resolve(request, is_stopped=is_stopped)
        else:
            self._active.append(request)

    def _resolve(self, request: Request, *, is_stopped: bool) -> None:
        if not request.future.done():
            request.future.set_result(Sample(request.sampled, request.logprobs, is_stopped))

    def _fail(self, error: BaseException) -> None:
        """Give `error` to everyone who waits; the cache is cleared, so that later sessions start clean."""
        requests = [owner.request for owner in self._owners if owner.request is not None] + list(self._waiting)
        self._arrived, self._active = [], []
        self._waiting.clear()
        self._prompts.clear()
        for owner in self._owners:
            owner.row, owner.is_closed = None, True
        self._owners.clear()
        self._cache.clear()
        for request in requests:
            if not request.future.done():
                request.future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())


def _row(request: Request) -> int:
    row = request.session.row
    assert row is not None, "requests in flight have a row"
    return row
