"""Playing the next step's groups while this step trains: rollouts one step behind the weights, and never more.

The weights of the sampler change only when the groups that were being played are finished, so that every group is of
one version of the policy; samples say which. Knows nothing of how groups are played or trained on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.grpo.groups import Group

Played = TypeVar("Played")
Done = TypeVar("Done")
Play = Callable[[], Coroutine[Any, Any, list[Group]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The groups of one step; `policy_version` is the number of optimiser steps before their weights."""

    groups: tuple[Group, ...]
    policy_version: int


class Prefetch:
    """Holds the batch that was played while the last step trained; with `max_staleness` 0 there is never one."""

    def __init__(self, max_staleness: int) -> None:
        self.num_dropped = 0  # groups, at the last `take`
        self._max_staleness = max_staleness
        self._ahead: Batch | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether the next step's groups are there already."""
        return self._ahead is not None

    def take(self, play: Play, policy_version: int) -> Batch:
        """Return the groups of a step: those played ahead unless they became too old, else what `play` gives."""
        batch, self._ahead, self.num_dropped = self._ahead, None, 0
        if batch is not None and is_fresh(batch, policy_version, self._max_staleness):
            return batch
        if batch is not None:
            self.num_dropped = len(batch.groups)
        return Batch(tuple(asyncio.run(play())), policy_version)

    def train(self, work: Callable[[], Done], play_next: Play | None, policy_version: int) -> Done:
        """Return what `work` returns; with staleness allowed, the next step's groups are played meanwhile."""
        if not self._max_staleness or play_next is None:
            return work()
        groups, done = overlap(play_next(), work)
        self._ahead = Batch(tuple(groups), policy_version)
        return done


def is_fresh(batch: Batch, policy_version: int, max_staleness: int) -> bool:
    """Return whether a batch may still be trained on by weights of `policy_version`."""
    return 0 <= policy_version - batch.policy_version <= max_staleness


def overlap(play: Coroutine[Any, Any, Played], work: Callable[[], Done]) -> tuple[Played, Done]:
    """Return what both give; `work` runs in another thread while this one plays.

    Playing stays here because mailboxes and signals belong to the main thread. When one of the two fails the other
    is not waited for longer than it takes to stop: playing is cancelled, work is let finish.
    """

    async def both() -> tuple[Played, Done]:
        playing = asyncio.ensure_future(play)
        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await asyncio.wait((playing, working), return_when=asyncio.FIRST_EXCEPTION)
            if working.done() and working.exception() is not None:
                raise working.exception() or AssertionError
            played = await playing
            return played, await working
        finally:
            playing.cancel()
            await asyncio.gather(playing, working, return_exceptions=True)

    return asyncio.run(both())
