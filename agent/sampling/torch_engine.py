"""Sampling many sequences at once from a model in this process; every sequence advances on its own.

One pump task serves all sessions of an event loop: it appends what arrived, steps all active rows by one
token, resolves those that stopped and yields, so that their tool results can join the next step.
Knows nothing of text, chat or tools; the forward pass is a `CachedModel`'s.

A session's random numbers depend on its seed alone. Its logits depend in their last bits on what runs
beside it, because batched matrix products round differently with the batch: a random number that falls on
the edge between two tokens can then pick the other one (rare in float32, to be expected in bfloat16).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agent.out_of_memory import named_device_errors
from agent.sampling.cached_model import Append
from agent.sampling.decoders import make_decoder
from agent.sampling.sample_tokens import Draw, sample_rows
from agent.sampling.torch_session import Request, TorchSession
from inbox_env.errors import DivergedError, UsageError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A first prompt that is in the cache: `session`'s row starts with it, `hidden` is its last hidden state."""

    session: TorchSession
    hidden: Tensor


class TorchEngine:
    """Samples from `model` (any causal LM with full attention, on its device and in its dtype) at `temperature`.

    Temperature 0 takes the most likely token; its logprobs are those of temperature 1. Keeps keys and values
    of at most `max_rows` open sessions of at most `max_context` tokens each, sampled ones included; later
    sessions wait for a row. `max_append_tokens` bounds the tokens of one forward pass, and so its memory.
    Not thread-safe: all calls belong to one event loop at a time, which a forward pass blocks.
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
        self._decoder = make_decoder(model, max_context)
        self._cache = self._decoder.new_cache(max_rows, max_context)
        self._owners: list[TorchSession] = []  # by row: open rows are always the first ones, read as one block
        self._waiting: deque[Request] = deque()  # for a row
        self._arrived: list[Request] = []  # with a row, to be appended
        self._active: list[Request] = []  # one token a step
        self._prompts: dict[tuple[int, ...], Prompt] = {}
        self._pump_task: asyncio.Task[None] | None = None

    @property
    def num_open_rows(self) -> int:
        """How many sessions hold a row."""
        return len(self._owners)

    def open(self, seed: int, temperature: float | None = None, top_p: float = 1.0) -> TorchSession:
        """Return a session whose random stream is `seed`'s (a non-negative integer).

        `temperature` (None: the engine's) and `top_p` are its own, whatever is sampled beside it.
        """
        draw = Draw(self.temperature if temperature is None else temperature, top_p)
        return TorchSession(seed, draw, self._decoder.vocab_size, self._submit, self._release)

    def refresh(self) -> None:
        """Use the model's current weights: call it after an optimiser step, between batches of rollouts.

        Open rows keep the keys and values they have; prompts are not shared across a refresh.
        """
        self._decoder.refresh()
        self._prompts.clear()

    @torch.inference_mode()
    def probe(self, token_ids: Sequence[int]) -> dict[str, list[float]]:
        """See `TrainedEngine.probe`; in a cache of its own, so that no row and no prompt is touched."""
        cache = self._decoder.new_cache(1, len(token_ids))
        hidden = self._decoder.append(cache, [Append(0, list(token_ids))])[:-1]
        logprobs = self._decoder.logits(hidden).log_softmax(-1)
        targets = torch.tensor(token_ids[1:], device=logprobs.device)
        return {"the sampler": logprobs.gather(-1, targets[:, None])[:, 0].tolist()}

    def _submit(self, request: Request) -> None:
        (self._waiting if request.session.row is None else self._arrived).append(request)
        self._start_pump(request.future.get_loop())

    def _release(self, session: TorchSession) -> None:
        """Free a session's row; the last open row moves into the gap."""
        row, session.row = session.row, None
        if row is None:
            return
        self._prompts = {key: prompt for key, prompt in self._prompts.items() if prompt.session is not session}
        last = self._owners.pop()
        if last is not session:
            self._cache.copy(len(self._owners), row, self._cache.lengths[len(self._owners)])
            self._owners[row], last.row = last, row
        if self._waiting:
            self._start_pump(self._waiting[0].future.get_loop())

    def _start_pump(self, loop: asyncio.AbstractEventLoop) -> None:
        task = self._pump_task
        if task is None or task.done() or task.get_loop() is not loop:
            self._pump_task = loop.create_task(self._pump())

    async def _pump(self) -> None:
        """Serve until nothing can advance; `_submit` and `_release` start it again."""
        try:
            await asyncio.sleep(0)  # let everyone who is about to ask, ask
            while self._arrived or self._active or (self._waiting and self._has_free_row()):
                with named_device_errors():
                    self._advance()
                await asyncio.sleep(0)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    @torch.inference_mode()
    def _advance(self) -> None:
        """Append what arrived, then step: a row that just arrived joins the step, so that the block has no holes."""
        self._give_rows()
        arrived, self._arrived = self._arrived, []
        self._append_arrived([request for request in arrived if not request.future.done() and self._fits(request)])
        self._step()

    def _has_free_row(self) -> bool:
        return len(self._owners) < self._cache.max_rows

    def _give_rows(self) -> None:
        while self._waiting and self._has_free_row():
            request = self._waiting.popleft()
            if request.future.done():
                continue
            request.session.row = len(self._owners)
            self._cache.lengths[request.row] = 0
            self._owners.append(request.session)
            self._arrived.append(request)

    def _fits(self, request: Request) -> bool:
        """Whether the new tokens and one sampled token fit; what does not is answered here."""
        if self._cache.lengths[request.row] + len(request.tokens_to_write) < self._cache.max_context:
            return True
        request.session.is_full = True
        request.resolve(is_stopped=False)
        return False

    def _append_arrived(self, arrived: list[Request]) -> None:
        """Write the tokens that arrived, each first prompt once, and sample the first token after them."""
        forks: list[Request] = []
        batch: list[Request] = []
        prompts = set(self._prompts)
        num_tokens = 0
        for request in arrived:
            if self._cache.lengths[request.row] == 0:
                prompt = tuple(request.token_ids)
                if prompt in prompts:
                    forks.append(request)
                    continue
                prompts.add(prompt)
            num_tokens += len(request.tokens_to_write)
            if batch and num_tokens > self._max_append_tokens:
                self._append(batch)
                batch, num_tokens = [], len(request.tokens_to_write)
            batch.append(request)
        self._append(batch)
        self._fork(forks)

    def _append(self, batch: list[Request]) -> None:
        if not batch:
            return
        firsts = [index for index, request in enumerate(batch) if self._cache.lengths[request.row] == 0]
        appends = [Append(request.row, request.tokens_to_write) for request in batch]
        ends = torch.tensor([len(append.token_ids) for append in appends]).cumsum(0) - 1
        hidden = self._decoder.append(self._cache, appends)[ends.to(self._decoder.device)]
        for index in firsts:
            self._prompts[tuple(batch[index].token_ids)] = Prompt(batch[index].session, hidden[index])
        self._sample(batch, hidden)

    def _fork(self, forks: list[Request]) -> None:
        """Copy the prompts that are in the cache already, instead of computing them again."""
        if not forks:
            return
        prompts = [self._prompts[tuple(request.token_ids)] for request in forks]
        for request, prompt in zip(forks, prompts, strict=True):
            assert prompt.session.row is not None, "a closed session's prompt is forgotten"
            self._cache.copy(prompt.session.row, request.row, len(request.token_ids))
        self._sample(forks, torch.stack([prompt.hidden for prompt in prompts]))

    def _step(self) -> None:
        """Write every active row's last token and sample its next one."""
        active = sorted((request for request in self._active if not request.future.done()), key=lambda r: r.row)
        self._active = []
        if active:
            tokens = [request.sampled[-1] for request in active]
            hidden = self._decoder.step(self._cache, [request.row for request in active], tokens)
            self._sample(active, hidden)

    def _sample(self, requests: list[Request], hidden: Tensor) -> None:
        uniforms = torch.tensor([request.session.next_uniform() for request in requests], dtype=torch.float32)
        logits = self._decoder.logits(hidden)
        tokens, logprobs = sample_rows(logits, uniforms.to(logits.device), [r.session.draw for r in requests])
        if not bool(logprobs.isfinite().all()):
            next_step = "lower the learning rate or start from an earlier checkpoint"
            raise DivergedError(2, "the model's logits are not finite", where="sampling", next_step=next_step)
        for request, token, logprob in zip(requests, tokens.tolist(), logprobs.tolist(), strict=True):
            self._take(request, token, logprob)

    def _take(self, request: Request, token: int, logprob: float) -> None:
        """Record one sampled token; its keys are written only if the row goes on."""
        session = request.session
        request.sampled.append(token)
        request.logprobs.append(logprob)
        session.unwritten = token
        session.is_full = self._cache.lengths[request.row] + 1 >= self._cache.max_context
        is_ended = request.on_token is not None and request.on_token(token)
        is_stopped = is_ended or token in self._stop_token_ids
        if is_stopped or session.is_full or len(request.sampled) >= request.max_tokens:
            request.resolve(is_stopped=is_stopped)
        else:
            self._active.append(request)

    def _fail(self, error: BaseException) -> None:
        """Give `error` to everyone who waits and start clean: every open session is closed, the cache cleared."""
        requests = [owner.request for owner in self._owners if owner.request is not None] + list(self._waiting)
        for owner in self._owners:
            owner.row, owner.is_closed = None, True
        for queue in (self._owners, self._waiting, self._arrived, self._active, self._prompts):
            queue.clear()
        self._cache.clear()
        for request in requests:
            request.fail(error)
