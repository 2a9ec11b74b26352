"""Several vLLM servers as one: which server a session goes to, which ones are down, and new weights for all.

Sessions that begin alike go to one server, whose prefix cache then holds the group's prompt once; a server with much
more than its share is passed over. Knows nothing of tokens' meaning.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

from agent.sampling.publish import Published
from agent.sampling.vllm_wire import Refused, VllmServer, WireError
from inbox_env.errors import UpstreamError, UsageError

MAX_SHARE = 1.25  # of the mean number of sessions
NEVER_CROWDED = 8  # sessions: a group is not split over servers that have hardly anything to do

_log = logging.getLogger(__name__)


class Fleet:
    """The servers of a run. All calls belong to one event loop."""

    def __init__(self, servers: Sequence[VllmServer]) -> None:
        self.servers = tuple(servers)
        self.weights: Published | None = None
        self._down: set[str] = set()
        self._num_sessions: Counter[str] = Counter()

    @property
    def up(self) -> list[VllmServer]:
        """The servers that answer, as far as is known."""
        return [server for server in self.servers if server.url not in self._down]

    async def num_sessions(self) -> int:
        """Return how many sessions are at a server."""
        return self._num_sessions.total()

    def join(self, key: bytes) -> VllmServer:
        """Return the server of a session whose first tokens are `key`; raises UpstreamError when none is up."""
        servers = self.up
        if not servers:
            raise self._nobody()
        room = max(NEVER_CROWDED, MAX_SHARE * (self._num_sessions.total() + 1) / len(servers))
        ranked = sorted(servers, key=lambda server: sha256(server.url.encode() + key).digest())
        chosen = next((server for server in ranked if self._num_sessions[server.url] + 1 <= room), None)
        chosen = chosen or min(ranked, key=lambda server: self._num_sessions[server.url])
        self._num_sessions[chosen.url] += 1
        return chosen

    def leave(self, server: VllmServer) -> None:
        """Count one session less at `server`."""
        self._num_sessions[server.url] -= 1

    async def doubt(self, server: VllmServer) -> bool:
        """Ask whether a server that failed still lives; returns whether it is down.

        Raises UpstreamError when it was the last one: every episode would fail.
        """
        if server.url not in self._down and not await server.is_healthy():
            self._down.add(server.url)
            _log.warning("sampling server %s is down; %d of %d left", server.name, len(self.up), len(self.servers))
        if not self.up:
            raise self._nobody()
        return server.url in self._down

    async def update(self, weights: Published) -> None:
        """Give every server the new weights; one that is down is taken back when it lives again.

        Raises UpstreamError when no server took them, UsageError when a server may not take weights at all.
        """
        for server in self.servers:
            if server.url in self._down and await server.is_healthy():
                self._down.discard(server.url)
        old, self.weights = self.weights, weights
        results = await _all(self.up, lambda server: self._update(server, weights, old))
        for server, error in results:
            _log.warning("sampling server %s did not take the weights (%s)", server.name, error)
            self._down.add(server.url)
        if not self.up:
            raise self._nobody()

    async def _update(self, server: VllmServer, weights: Published, old: Published | None) -> None:
        try:
            if not weights.is_adapter:
                await server.reload_weights(weights.folder)
                return
            if old is not None:
                await self._unload(server, old.name)
            await server.load_adapter(weights.name, weights.folder)
        except Refused as error:
            if error.status != 404:
                raise
            raise UsageError(
                84,
                "the server takes no adapters" if weights.is_adapter else "the server takes no weights",
                where=server.name,
                next_step="start it as `mailsleuth serve` prints it",
            ) from error

    async def close(self) -> None:
        """Take the last adapter from the servers."""
        weights, self.weights = self.weights, None
        if weights is not None and weights.is_adapter:
            await _all(self.up, lambda server: self._unload(server, weights.name))

    async def _unload(self, server: VllmServer, name: str) -> None:
        """An adapter that stays is a little memory lost, no reason to stop."""
        try:
            await server.unload_adapter(name)
        except WireError as error:
            _log.warning("adapter %s stays on %s (%s)", name, server.name, error)

    def _nobody(self) -> UpstreamError:
        names = ", ".join(server.name for server in self.servers)
        return UpstreamError(
            80, "no sampling server answers", where=names, next_step="start them and go on with --resume"
        )


async def _all(
    servers: Sequence[VllmServer], call: Callable[[VllmServer], Awaitable[None]]
) -> list[tuple[VllmServer, WireError]]:
    """Call for all servers at once; returns those that failed. What is no failure of a server is raised."""
    results = await asyncio.gather(*(call(server) for server in servers), return_exceptions=True)
    failed = []
    for server, result in zip(servers, results, strict=True):
        if isinstance(result, WireError):
            failed.append((server, result))
        elif result is not None:
            raise result
    return failed
