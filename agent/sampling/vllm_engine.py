"""Sampling on vLLM servers over HTTP, with the trained weights pushed to them whenever they changed.

The same promises as the torch engine's, except that a session's logits come from another implementation: how far
apart they are is what the metric `kl` says. Knows nothing of text, chat or tools.

All requests run on one background event loop, so that connections last from step to step.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import httpx

from agent.grpo.distributed import ALONE, Peers
from agent.sampling.engine import Sample
from agent.sampling.loop_thread import LoopThread
from agent.sampling.patience import Patience
from agent.sampling.publish import Published, Publisher
from agent.sampling.vllm_check import Expected, check_served_weights, check_server, served_logprobs
from agent.sampling.vllm_fleet import Fleet
from agent.sampling.vllm_session import Limits, VllmSession
from agent.sampling.vllm_wire import VllmServer, WireError
from inbox_env.errors import UsageError

API_KEY = "VLLM_API_KEY"
LAST_RESORT_SECONDS = 3600.0
PROBE_SECONDS = 20.0


class RemoteSession:
    """A session as seen from whichever event loop plays the episode."""

    def __init__(self, session: VllmSession, thread: LoopThread) -> None:
        self._session, self._thread = session, thread

    async def sample(self, token_ids: list[int], max_tokens: int) -> Sample:
        """See `VllmSession.sample`; a cancelled call closes the session."""
        return await self._thread.call(self._session.sample(token_ids, max_tokens))

    def close(self) -> None:
        """Leave the server; may be called twice."""
        self._thread.soon(self._session.close)


class VllmEngine:
    """Samples at `temperature` from the weights that `publisher` writes, on the servers at `urls`.

    Temperature 0 takes the most likely token; its logprobs are those of temperature 1. At most `max_rows` requests
    are under way at once. Call `start` before the first session and `close` at the end.
    """

    def __init__(
        self,
        urls: Sequence[str],
        publisher: Publisher,
        *,
        stop_token_ids: set[int],
        vocab_size: int,
        max_rows: int = 256,
        max_context: int = 1024,
        temperature: float = 1.0,
        patience: Patience | None = None,
        peers: Peers = ALONE,
    ) -> None:
        if temperature < 0 or max_rows < 1 or max_context < 1:
            raise UsageError(1, "temperature must be >= 0, max_rows and max_context >= 1", where="sampling engine")
        self.temperature = temperature
        self._publisher, self._peers = publisher, peers
        self._limits = Limits(vocab_size, max_context, frozenset(stop_token_ids), asyncio.Semaphore(max_rows))
        self._thread = LoopThread("vllm-client")
        self._client = _new_client(max_rows)
        self._random = Random()
        patience = patience or Patience()
        self.fleet = Fleet([VllmServer(url, self._client, patience, self._random) for url in urls])
        self._base = ""

    @property
    def num_open_sessions(self) -> int:
        """How many sessions are at a server."""
        return self._thread.run(self.fleet.num_sessions())

    def start(self, expected: Expected) -> None:
        """Check every server and give it the current weights; raises UsageError or UpstreamError."""
        atexit.register(self._leave)
        self._base = self._thread.run(self._check(expected))
        self.refresh()
        self._thread.run(self._check_weights(expected))

    def open(self, seed: int) -> RemoteSession:
        """Return a session whose random stream is `seed`'s (a non-negative integer)."""
        session = VllmSession(seed, self.fleet, self._limits, lambda: self.temperature, self._base)
        return RemoteSession(session, self._thread)

    def refresh(self) -> None:
        """Give the model's current weights to the servers: call it after an optimiser step, between rollouts."""
        self.fleet.weights = self._peers.first(self._update)

    def probe(self, token_ids: Sequence[int]) -> dict[str, list[float]]:
        """See `TrainedEngine.probe`; a server that gives no answer in time is left out."""
        return self._peers.first(lambda: self._thread.run(self._probe(token_ids)))

    def close(self) -> None:
        """Take the weights from the servers and disconnect; may be called twice. Called when the process ends."""
        if self._client.is_closed:
            return
        atexit.unregister(self._leave)
        if self._peers.is_first:
            self._thread.run(self.fleet.close())
        self._thread.run(self._client.aclose())
        self._thread.close()
        self._publisher.remove_all()

    def _leave(self) -> None:
        """A process that ends is not held up by servers that do not answer."""
        with suppress(Exception):
            self.close()

    def _update(self) -> Published:
        """One of several processes that train together brings the weights; they are the same in all."""
        weights = self._publisher.publish()
        self._thread.run(self.fleet.update(weights))
        return weights

    async def _check(self, expected: Expected) -> str:
        bases = await asyncio.gather(*(check_server(server, expected) for server in self.fleet.servers))
        if len(set(bases)) > 1:
            names = ", ".join(sorted(set(bases)))
            raise UsageError(85, f"the servers call their model differently: {names}", next_step="--served-model-name")
        return bases[0]

    async def _check_weights(self, expected: Expected) -> None:
        await asyncio.gather(*(check_served_weights(server, self._served(), expected) for server in self.fleet.up))

    async def _probe(self, token_ids: Sequence[int]) -> dict[str, list[float]]:
        async def ask(server: VllmServer) -> list[float] | None:
            with suppress(WireError, TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    return await served_logprobs(server, self._served(), token_ids)
            return None

        servers = self.fleet.up
        found = await asyncio.gather(*map(ask, servers))
        return {server.name: told for server, told in zip(servers, found, strict=True) if told is not None}

    def _served(self) -> str:
        weights = self.fleet.weights
        return weights.name if weights is not None and weights.is_adapter else self._base


def _new_client(max_rows: int) -> httpx.AsyncClient:
    """No proxy, no redirect: mail goes where it was sent. Deadlines are the caller's; this one only ends all."""
    key = os.environ.get(API_KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=max_rows + 4, max_keepalive_connections=max_rows + 4)
    return httpx.AsyncClient(headers=headers, limits=limits, timeout=LAST_RESORT_SECONDS, trust_env=False)
