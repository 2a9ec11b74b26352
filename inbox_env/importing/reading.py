"""Shares the mails of an import out in batches and lists what became of them: the part that can be interrupted.

Batches are cut the same way every time, so that a later run knows by their numbers what is done already.
Knows nothing of how mails are merged and written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inbox_env.importing.byte_meter import ByteMeter, Progress
from inbox_env.importing.staged_rows import ReadOptions, StoredRow, Work
from inbox_env.importing.staging import BatchRecord, Staging
from inbox_env.importing.workers import InlineReader, ReaderPool
from inbox_env.ingest.imap_place import ImapState
from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sources import Source, read_source

BATCH_MAILS = 200
BATCH_BYTES = 4_000_000
EXISTING = -1  # the place of the inbox's own mails among the sources


@dataclass(frozen=True, slots=True)
class Batch:
    """Work for a reading process, and what the readers said beside it."""

    work: Work
    source: int
    rejects: tuple[tuple[int, Reject], ...]
    skipped: Counter[str]
    imap_state: str | None


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What is read: the inbox's own rows first, then the sources in their order, without the mailbox's own files."""

    existing: Callable[[], Iterator[StoredRow]]
    sources: Sequence[Source]
    imap_states: Sequence[str | None]
    options: ReadOptions
    include_spam: bool
    num_workers: int
    is_stopped: Callable[[], bool]
    progress: Progress | None
    is_own: Callable[[str], bool] = lambda _: False


def read_all(plan: ReadPlan, staging: Staging) -> dict[int, str | None]:
    """Read everything that is not done yet into `staging`; return the IMAP states of the sources that have one.

    Returns early when stopped, with everything that was under way listed.
    """
    cutter = _Cutter(plan, staging)
    pool = ReaderPool if plan.num_workers > 1 else InlineReader
    arguments = (plan.num_workers, plan.is_stopped) if plan.num_workers > 1 else ()
    readers: Any = pool(staging.folder, plan.options, *arguments)
    waiting: dict[int, Batch] = {}
    try:
        for file, work, done in readers.results(_works(cutter, waiting)):
            batch = waiting.pop(work.batch)
            rejects = tuple(sorted((*batch.rejects, *done.rejects), key=lambda pair: pair[0]))
            counted = (done.num_mails, rejects, batch.skipped, done.owner_counts, batch.imap_state)
            staging.commit(BatchRecord(work.batch, file, batch.source, work.end_seq, *counted))
    finally:
        readers.close()
    return cutter.states


def _works(cutter: _Cutter, waiting: dict[int, Batch]) -> Iterator[Work]:
    for batch in cutter.batches():
        waiting[batch.work.batch] = batch
        yield batch.work


class _Cutter:
    """Cuts what the sources yield into batches, leaves out those that are done, and reports bytes."""

    def __init__(self, plan: ReadPlan, staging: Staging) -> None:
        self.states: dict[int, str | None] = {}
        self._plan, self._staging = plan, staging
        self._number = self._seq = 0
        self._meter = ByteMeter(plan.progress, sum(source.num_bytes for source in plan.sources))
        if any(source.kind == "imap" for source in plan.sources):
            staging.keep_first_batches()  # a server is asked only for what comes after

    def batches(self) -> Iterator[Batch]:
        """Yield the batches still to be read, until stopped."""
        yield from self._cut(self._plan.existing(), EXISTING, lambda: None)
        for place, source in enumerate(self._plan.sources):
            if self._plan.is_stopped():
                return
            self._meter.begin(source.num_bytes)
            yield from self._source(place, source)
            if not self._plan.is_stopped():
                self._meter.end()
        if not self._plan.is_stopped():
            self._meter.finish()

    def _source(self, place: int, source: Source) -> Iterator[Batch]:
        if source.kind != "imap":
            items = read_source(source, include_spam=self._plan.include_spam)
            mail = (item for item in items if isinstance(item, Skipped) or not self._plan.is_own(item.path))
            yield from self._cut(mail, place, lambda: None, is_in_place=source.kind == "mbox")
            return
        kept = self._staging.state_of(place)
        text = self._plan.imap_states[place] if kept is None else kept[1]
        if kept is not None:
            self._number, self._seq = max(self._staging.done) + 1, kept[0]
        state = ImapState() if text is None else ImapState.model_validate_json(text)
        expect = self._meter.expect if self._plan.progress is not None else None
        items = read_source(source, include_spam=self._plan.include_spam, imap_state=state, expect_bytes=expect)
        yield from self._cut(items, place, state.model_dump_json)
        self.states[place] = state.model_dump_json()

    def _cut(
        self, items: Iterator[Any], source: int, state: Callable[[], str | None], *, is_in_place: bool = False
    ) -> Iterator[Batch]:
        pile = _Pile(self._seq)
        for item in items:
            pile.add(item)
            self._meter.add(item, is_in_place=is_in_place)
            if pile.is_full():
                yield from self._finish(pile, source, state())
                pile = _Pile(self._seq)
                if self._plan.is_stopped():
                    return
        if pile.num_items:
            yield from self._finish(pile, source, state())

    def _finish(self, pile: _Pile, source: int, state: str | None) -> Iterator[Batch]:
        number, first = self._number, self._seq
        self._number, self._seq = number + 1, first + pile.num_items
        if number not in self._staging.done:
            work = Work(number, first, self._seq, tuple(pile.mails))
            yield Batch(work, source, tuple(pile.rejects), pile.skipped, state)


class _Pile:
    """The items of one batch while it grows."""

    def __init__(self, first_seq: int) -> None:
        self.mails: list[tuple[int, RawMail | StoredRow]] = []
        self.rejects: list[tuple[int, Reject]] = []
        self.skipped: Counter[str] = Counter()
        self.num_items = 0
        self._first_seq, self._num_bytes = first_seq, 0

    def add(self, item: RawMail | Reject | Skipped | StoredRow) -> None:
        seq = self._first_seq + self.num_items
        self.num_items += 1
        if isinstance(item, Skipped):
            self.skipped[item.reason] += 1
        elif isinstance(item, Reject):
            self.rejects.append((seq, item))
        else:
            self.mails.append((seq, item))
            self._num_bytes += len(item.raw) if isinstance(item, RawMail) else len(item[-1])

    def is_full(self) -> bool:
        return self.num_items >= BATCH_MAILS or self._num_bytes >= BATCH_BYTES
