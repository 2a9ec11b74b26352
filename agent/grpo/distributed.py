"""Several processes that train one model together, started by torchrun: who does what, and what they tell each other.

Questions and samples are dealt out by rank. Groups are gathered, so that every process sees the whole step and
decides the same; gradients and counts are summed, so that a step is that of one process however many there are, up
to the order of float additions. Knows nothing of losses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import reduce
from operator import add
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from agent.data_parallel import sum_gradients
from inbox_env.errors import ResourceError, UsageError

T = TypeVar("T")

PATIENCE_SECONDS = 1800.0  # the first process evaluates while the others wait
_ASK = timedelta(seconds=5)  # for the roll, once somebody is missed


class Roll:
    """Who has come how often to talk: kept where all processes see it, so that one that hangs can be named."""

    def __init__(self, store: Store, rank: int, size: int, seconds: float) -> None:
        self.seconds = seconds
        self._store, self._rank, self._size, self._count = store, rank, size, 0

    def arrive(self) -> None:
        """Note that this process comes to the next talk."""
        self._count += 1
        with suppress(RuntimeError):  # the talk itself will say what is wrong
            self._store.set(str(self._rank), str(self._count))

    def missing(self) -> list[int]:
        """Return the ranks that have not come to the talk at which this process is; none where nobody knows."""
        try:
            self._store.set_timeout(_ASK)
            others = [rank for rank in range(self._size) if rank != self._rank]
            return [rank for rank in others if self._arrived(rank) < self._count]
        except RuntimeError:
            return []

    def _arrived(self, rank: int) -> int:
        return int(self._store.get(str(rank))) if self._store.check([str(rank)]) else 0


class Peers:
    """This process among those that train together; alone, everything here gives back what it got.

    Calls of one object must come in the same order in every process. What runs in another thread meanwhile, as the
    playing of a step does while the one before it is trained, talks through `beside`.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        messages: Any = None,
        beside: Peers | None = None,
        num_here: int | None = None,
        roll: Roll | None = None,
    ) -> None:
        self.rank, self.size, self._roll = rank, size, roll
        self.num_here = num_here or size  # on this machine
        self._messages, self._beside = messages, beside

    @property
    def beside(self) -> Peers:
        """The same processes, with messages of their own."""
        return self._beside or self

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's share of what all of them hold."""
        return list(items[self.rank :: self.size])

    def gather(self, items: Sequence[T]) -> list[T]:
        """Return the shares of all, in the order that `share` took them from."""
        shares = self._all(list(items))
        longest = max(map(len, shares))
        return [share[place] for place in range(longest) for share in shares if place < len(share)]

    def sum(self, value: T) -> T:
        """Return the sum of all values, added in the order of ranks."""
        total: T = reduce(add, self._all(value))
        return total

    def is_any(self, flag: bool) -> bool:
        """Return whether the flag is set anywhere."""
        return any(self._all(flag))

    def first(self, make: Callable[[], T]) -> T:
        """Return what `make` gives in the first process, and call it only there."""
        content = [make() if self.is_first else None]
        if self.size > 1:
            with _named_loss(self._roll):
                distributed.broadcast_object_list(content, src=0, group=self._messages)
        return content[0]  # type: ignore[return-value]  # it was made in the first process

    def check_same(self, what: str, value: Any) -> None:
        """Raise ResourceError when the processes hold different values."""
        if any(other != value for other in self._all(value)):
            next_step = "give every process the same files and versions"
            raise ResourceError(81, f"the processes of the run differ in {what}", next_step=next_step)

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by the sum over the processes, bit for bit equal in all."""
        if self.size == 1:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with _named_loss(self._roll):
            sum_gradients(parameters, torch.zeros(1, device=parameters[0].device))

    def _all(self, value: T) -> list[T]:
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with _named_loss(self._roll):
            distributed.all_gather_object(found, value, group=self._messages)
        return found


ALONE = Peers()


@contextmanager
def joined_by_torchrun(
    device: str = "cpu",
    environment: Iterable[tuple[str, str]] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Iterator[Peers]:
    """Yield this process's place among those that torchrun started; without torchrun it is alone.

    Whoever waits for another process for longer than `patience_seconds` gives up with a ResourceError.
    """
    settings = dict(os.environ if environment is None else environment)
    if int(settings.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.startswith("cuda:"):
        next_step = 'set model.device = "cuda": each process takes a card of its own'
        raise UsageError(87, "under torchrun all processes would share one card", where=device, next_step=next_step)
    is_cuda = device in ("cuda", "auto") and torch.cuda.is_available()
    if is_cuda:
        torch.cuda.set_device(int(settings.get("LOCAL_RANK", "0")))
    patience, backend = timedelta(seconds=patience_seconds), "cpu:gloo,cuda:nccl" if is_cuda else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=patience))
    whole = PrefixStore("whole", store)
    distributed.init_process_group(backend, store=whole, rank=rank, world_size=size, timeout=patience)
    num_here = int(settings.get("LOCAL_WORLD_SIZE", size))
    try:
        groups = [distributed.new_group(backend="gloo", timeout=patience) for _ in range(2)]
        rolls = [Roll(PrefixStore(name, store), rank, size, patience_seconds) for name in ("a", "b")]
        beside = Peers(rank, size, groups[1], num_here=num_here, roll=rolls[1])
        yield Peers(rank, size, groups[0], beside, num_here, rolls[0])
    finally:
        distributed.destroy_process_group()


@contextmanager
def _named_loss(roll: Roll | None) -> Iterator[None]:
    """Say what it means when a collective call fails: another process is gone, or hangs."""
    if roll is not None:
        roll.arrive()
    try:
        yield
    except RuntimeError as error:
        raise _lost(error, roll) from error


@contextmanager
def named_lost_peers() -> Iterator[None]:
    """Say the same when a call that is not of `Peers` fails for it, such as a pass of shards."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):  # gloo has no class of its own
            raise
        raise _lost(error, None) from error


def _lost(error: RuntimeError, roll: Roll | None) -> ResourceError:
    missing = roll.missing() if roll else []
    who = f"process {', '.join(map(str, missing))}" if missing else "another process"
    next_step = "start torchrun again with --resume; the last checkpoint is whole"
    if re.search("timed? ?out", str(error), re.IGNORECASE):
        waited = f" within {roll.seconds:g} s" if roll else " in time"
        next_step += "; run.peer_seconds is how long is waited"
        return ResourceError(83, f"{who} of the run did not answer{waited}", next_step=next_step)
    return ResourceError(82, f"{who} of the run is gone", next_step=next_step)
