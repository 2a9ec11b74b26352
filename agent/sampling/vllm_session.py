"""One growing sequence on a vLLM server: all its tokens go out with every turn, the prefix cache makes that cheap.

Knows nothing of how a call is retried or how weights arrive.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agent.sampling.engine import Sample
from agent.sampling.vllm_fleet import Fleet
from agent.sampling.vllm_wire import BadReply, Choice, Refused, Unreachable, VllmServer
from inbox_env.errors import DivergedError


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for every session of an engine; `slots` bounds how many requests are under way."""

    vocab_size: int
    max_context: int
    stop_token_ids: frozenset[int]
    slots: asyncio.Semaphore


class VllmSession:
    """The session that `VllmEngine.open` returns, on the engine's own event loop."""

    def __init__(self, seed: int, fleet: Fleet, limits: Limits, temperature: Callable[[], float], base: str) -> None:
        self._seed, self._fleet, self._limits = seed, fleet, limits
        self._temperature, self._base = temperature, base
        self._model = ""  # as it was when the session began: its cache is of those weights
        self._ids: list[int] = []
        self._server: VllmServer | None = None
        self._num_turns = 0
        self.is_closed = self.is_sampling = self.is_full = False

    async def sample(self, token_ids: list[int], max_tokens: int) -> Sample:
        """Append `token_ids`, then sample until a stop token, `max_tokens` or the end of the context.

        Tokens that do not fit are not appended: the sample is empty, as are all later ones. Raises WireError when
        the servers fail this session, UpstreamError when there is none left; the session is closed then.
        """
        self._check(token_ids, max_tokens)
        room = self._limits.max_context - len(self._ids) - len(token_ids)
        if self.is_full or room < 1:
            self.is_full = True
            return Sample([], [], is_stopped=False)
        self.is_sampling = True
        try:
            return await self._sample(self._ids + list(token_ids), min(max_tokens, room))
        except BaseException:
            self.close()
            raise
        finally:
            self.is_sampling = False

    def close(self) -> None:
        """Leave the server; may be called twice."""
        self.is_closed = True
        server, self._server = self._server, None
        if server is not None:
            self._fleet.leave(server)

    async def _sample(self, prompt: list[int], max_tokens: int) -> Sample:
        if not self._model:
            weights = self._fleet.weights
            self._model = weights.name if weights is not None and weights.is_adapter else self._base
        body = completion_body(
            self._model, prompt, max_tokens, self._temperature(), turn_seed(self._seed, self._num_turns)
        )
        body["stop_token_ids"] = sorted(self._limits.stop_token_ids)
        try:
            async with self._limits.slots:
                choice = await self._complete(body)
        except Refused as error:
            if not error.is_context_overflow:
                raise
            self.is_full = True
            return Sample([], [], is_stopped=False)
        sample = read_choice(choice, prompt, max_tokens, self._limits.stop_token_ids)
        self._ids = prompt + sample.token_ids
        self._num_turns += 1
        self.is_full = len(self._ids) >= self._limits.max_context
        return sample

    async def _complete(self, body: dict[str, Any]) -> Choice:
        """Return the server's completion; a session whose server died goes on at another one."""
        while True:
            if self._server is None:
                self._server = self._fleet.join(b"".join(token.to_bytes(4, "big") for token in body["prompt"]))
            server = self._server
            try:
                return await server.complete(body)
            except Unreachable:
                if not await self._fleet.doubt(server):
                    raise
                self._fleet.leave(server)
                self._server = None

    def _check(self, token_ids: Sequence[int], max_tokens: int) -> None:
        if self.is_closed or self.is_sampling:
            raise RuntimeError("the session is closed" if self.is_closed else "the session is already sampling")
        if max_tokens < 1 or not (token_ids or self._ids):
            raise ValueError("a session needs at least one token before it can sample, and max_tokens >= 1")
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self._limits.vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._limits.vocab_size})")


def turn_seed(seed: int, turn: int) -> int:
    """Return the seed of one turn, as 63 bits: a server keeps no random stream between turns."""
    return int.from_bytes(sha256(f"{seed}:{turn}".encode()).digest()[:8], "big") >> 1


def completion_body(model: str, prompt: list[int], max_tokens: int, temperature: float, seed: int) -> dict[str, Any]:
    """Return a request of /v1/completions that samples from the model's own distribution at `temperature`.

    Every knob is set, because a server takes what is missing from the model's generation_config.json.
    """
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "ignore_eos": True,
        "logprobs": 0,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "skip_special_tokens": False,
        "add_special_tokens": False,
    }


def read_choice(choice: Choice, prompt: Sequence[int], max_tokens: int, stop_token_ids: frozenset[int]) -> Sample:
    """Return the sample of a reply; raises BadReply for one without ids or logprobs, or of another prompt.

    Raises DivergedError when a logprob is not finite.
    """
    if choice.prompt_token_ids is not None and choice.prompt_token_ids != tuple(prompt):
        raise BadReply("the server sampled after other tokens than it was sent")
    token_ids = _token_ids(choice)
    logprobs = choice.logprobs.token_logprobs if choice.logprobs else ()
    if not token_ids or len(token_ids) > max_tokens:
        raise BadReply(f"{len(token_ids)} token ids where 1 to {max_tokens} were asked for")
    if len(logprobs) != len(token_ids):
        raise BadReply(f"{len(token_ids)} token ids but {len(logprobs)} logprobs")
    is_stopped = token_ids[-1] in stop_token_ids
    if not is_stopped and choice.finish_reason != "length":
        raise BadReply(f"the server stopped for {choice.finish_reason!r} without a stop token")
    numbers = [math.nan if logprob is None else logprob for logprob in logprobs]
    if not all(map(math.isfinite, numbers)):
        next_step = "lower the learning rate or start from an earlier checkpoint"
        raise DivergedError(80, "the server's logprobs are not finite", where="sampling", next_step=next_step)
    return Sample(list(token_ids), numbers, is_stopped)


def _token_ids(choice: Choice) -> tuple[int, ...]:
    if choice.token_ids is not None:
        return choice.token_ids
    names = choice.logprobs.tokens if choice.logprobs else ()
    numbers = [name.removeprefix("token_id:") for name in names]
    if not names or not all(number.isdecimal() for number in numbers):
        raise BadReply("the server returns no token ids")
    return tuple(int(number) for number in numbers)
