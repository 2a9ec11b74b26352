"""Imports mail: every message read is imported, folded into a copy of itself, left out on purpose, or rejected.

Ties the readers to the store. Mail is gathered in a folder beside the mailbox and then built into it in one step:
an interrupted import leaves the mailbox as it was, and the same import again goes on from there. Knows nothing of the
command line.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inbox_env.database import DOCTOR, MAX_EMAILS
from inbox_env.email_rows import MAIL_COLUMNS
from inbox_env.emails import Address
from inbox_env.errors import CorruptError, ExitCode, MailsleuthError, ResourceError, StoppedError, UsageError
from inbox_env.importing.building import (
    IndexKind,
    Plan,
    SourceRecord,
    build,
    record_sources,
    whoosh_directory,
    write_error,
)
from inbox_env.importing.byte_meter import Progress
from inbox_env.importing.indexing import IndexHelper
from inbox_env.importing.merging import Merged, join_copies_and_threads, merge_rows
from inbox_env.importing.own_files import own_file_test
from inbox_env.importing.reading import BATCH_BYTES, BATCH_MAILS, ReadPlan, read_all
from inbox_env.importing.rejects import replace_rejects
from inbox_env.importing.staged_rows import ReadOptions, StoredRow
from inbox_env.importing.staging import Staging, staging_folder
from inbox_env.ingest.documents import check_document_readers
from inbox_env.ingest.records import MAX_MESSAGE_BYTES
from inbox_env.ingest.sources import Source, find_source
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import migrate
from inbox_env.store import EmailStore, InboxInfo

PARALLEL_BYTES = 20_000_000  # below that, starting processes costs more than they save
SELECT_ROWS = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id > ? AND id < ? ORDER BY id LIMIT 500"
SELECT_STATE = "SELECT imap_state FROM sources WHERE inbox_id = ? AND place = ?"
_FORMAT = 2  # of what the reading processes leave: another one is not gone on with
_USUAL_BYTES = 2_000  # of one mail
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did: `read` == `imported` + `duplicates` + `rejected` + all `skipped`.

    Of the imported ones, `cut` were too large to be read whole, and `unread` have attachments whose text was asked for
    and could not be read. `total` mails are in the inbox now, or would be. `is_resumed` when an interrupted import was
    gone on with. `torn` of them end a file that has no line break at its end.
    """

    read: int
    imported: int
    duplicates: int
    rejected: int
    skipped: dict[str, int]
    total: int
    owner: Address
    seconds: float
    rejects_path: Path | None
    is_resumed: bool = False
    cut: int = 0
    unread: int = 0
    torn: int = 0


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How mail is imported.

    `owner` None: as before, or guessed. `index` None: as before, or fts5. `num_workers` None: one process, or two
    for much mail. `stopped` is asked often whether to stop, and by which exit code. A dry run reads and counts
    everything and writes nothing.
    """

    owner: Address | None = None
    index: IndexKind | None = None
    include_spam: bool = False
    attachment_text: bool = False
    keep_html: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES
    num_workers: int | None = None
    is_dry_run: bool = False
    progress: Progress | None = None
    stopped: Callable[[], ExitCode | None] = field(default=lambda: None)


def import_mail(
    sources: Sequence[Path | str], mailbox: Path, inbox: str, options: ImportOptions | None = None, **changes: Any
) -> ImportSummary:
    """Import everything the sources hold into one inbox, beside what it holds already, and return what happened.

    Options may be given by name. What could not be read, or not whole, is in NAME.rejects.jsonl beside the mailbox,
    which lists this of the last import into each inbox. Raises UsageError for a source that is no mail or no mailbox,
    ResourceError when there is no room or another import is under way, StoppedError when stopped; the mailbox is
    then as it was.
    """
    chosen = options or ImportOptions(**changes)
    given, mailbox = mailbox, real_path(mailbox)
    started = time.perf_counter()
    if not inbox.strip():
        raise UsageError(60, "an inbox needs a name", next_step="give one with --inbox")
    found = [find_source(source) for source in sources]
    _check_target(mailbox)
    if chosen.attachment_text:
        check_document_readers()
    lock: AbstractContextManager[object] = nullcontext() if chosen.is_dry_run else mailbox_lock(mailbox)
    with lock:
        return _Import(mailbox, inbox, chosen, found, started, own_file_test(*{given, mailbox})).run()


class _Import:
    """One import under way."""

    def __init__(
        self, mailbox: Path, inbox: str, options: ImportOptions, sources: Sequence[Source], started: float,
        is_own: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self.mailbox, self.inbox, self.options, self.sources, self.started = mailbox, inbox, options, sources, started
        self.places = [source.name for source in sources]
        self.is_own = is_own
        self.info: InboxInfo | None = None
        self.revision = 0
        self.states: list[str | None] = [None for _ in sources]
        self._look_at_mailbox()

    def run(self) -> ImportSummary:
        """Read, merge and build; keep what was read when that fails for want of room or is stopped."""
        dry = self.options.is_dry_run
        with tempfile.TemporaryDirectory() if dry else nullcontext("") as spare:
            folder = Path(spare) / "staging" if dry else staging_folder(self.mailbox, self.inbox)
            staging = self._open_staging(folder)
            keep = False
            try:
                return self._run(staging)
            except (OSError, sqlite3.DatabaseError) as error:
                keep = not dry and isinstance(error, OSError | sqlite3.OperationalError)
                self._check_stopped(staging)
                raise self._failure(error, staging.folder) or error from error
            except (StoppedError, ResourceError, KeyboardInterrupt, SystemExit):
                keep = not dry
                raise
            except MailsleuthError as error:
                keep = error.exit_code == ExitCode.UPSTREAM
                raise
            finally:
                staging.close(keep=keep)

    def _open_staging(self, folder: Path) -> Staging:
        try:
            return Staging(folder, self._job())
        except (OSError, sqlite3.DatabaseError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise self._failure(error, folder) or error from error

    def _run(self, staging: Staging) -> ImportSummary:
        states = read_all(self._read_plan(), staging)
        self._check_stopped(staging)
        skipped = staging.skipped()
        num_read = staging.num_mails() + staging.num_rejects() + skipped.total()
        if not num_read and not any(self.states):  # a server may have nothing new
            where = ", ".join(self.places)
            raise UsageError(61, "no mail found", where=where, next_step="give a mailbox file or a folder of mail")
        num_before = self.info.num_emails if self.info is not None else 0
        with self._index_helper(staging) as helper:
            merged = merge_rows(staging.folder, num_before, self._is_stopped)
            helper = helper if merged.num_new else None
            if helper is not None:
                helper.start()  # at once: everything below goes on beside it
            owner = self._owner(staging)
            rejects_path = None
            if not self.options.is_dry_run:
                self._write(staging, merged, owner, states, helper)
                rejects_path = replace_rejects(self.mailbox, self.inbox, staging.rejects())
        return self._summary(staging, merged, owner, skipped, rejects_path)

    def _index_helper(self, staging: Staging) -> AbstractContextManager[IndexHelper | None]:
        """Have a second process at hand for the index, when there is one to fill and mail enough for two."""
        is_needed = not self.options.is_dry_run and self._index() == "fts5" and self._num_workers() > 1
        return IndexHelper(staging.folder) if is_needed and staging.num_mails() else nullcontext()

    def _write(
        self,
        staging: Staging,
        merged: Merged,
        owner: Address,
        states: dict[int, str | None],
        helper: IndexHelper | None,
    ) -> None:
        if not staging.num_mails():
            if self.info is not None:
                record_sources(self.mailbox, self.inbox, self._records(staging, states))
            return
        num_before = self.info.num_emails if self.info is not None else 0
        has_changed = join_copies_and_threads(staging.folder, num_before, self._is_stopped)
        records = self._records(staging, states)
        is_same = self.info is not None and (self.info.index, self.info.owner) == (self._index(), owner)
        if is_same and self._has_index() and not merged.num_new and not (has_changed or merged.num_gained):
            record_sources(self.mailbox, self.inbox, records)
            return
        target = (self.mailbox, self.inbox, staging.folder, owner, self._index())
        before = None if self.info is None else self.revision
        build(Plan(*target, records, helper, self._is_stopped, before))

    def _records(self, staging: Staging, states: dict[int, str | None]) -> tuple[SourceRecord, ...]:
        """What to remember of the sources: how much was read, and of a mail server, up to where."""
        num_mails: Counter[str] = Counter()
        for number, count in staging.num_mails_by_source().items():
            num_mails[self.places[number]] += count
        return tuple(
            SourceRecord(place, source.fingerprint(self.is_own), num_mails[place], states.get(number))
            for number, (place, source) in enumerate(zip(self.places, self.sources, strict=True))
        )

    def _summary(
        self, staging: Staging, merged: Merged, owner: Address, skipped: Counter[str], rejects_path: Path | None
    ) -> ImportSummary:
        num_mails, num_rejects = staging.num_mails(), staging.num_rejects()
        return ImportSummary(
            read=num_mails + num_rejects + skipped.total(),
            imported=merged.num_new,
            duplicates=num_mails - merged.num_new,
            rejected=num_rejects,
            skipped=dict(sorted(skipped.items())),
            total=merged.num_mails,
            owner=owner,
            seconds=time.perf_counter() - self.started,
            rejects_path=rejects_path,
            is_resumed=staging.is_resumed,
            cut=merged.num_cut,
            unread=merged.num_unread,
            torn=merged.num_torn,
        )

    def _look_at_mailbox(self) -> None:
        if not self.mailbox.exists():
            return
        if not self.options.is_dry_run:
            migrate(self.mailbox)
        store = EmailStore.open(self.mailbox)
        try:
            self.info = next((info for info in store.inboxes() if info.name == self.inbox), None)
            if self.info is not None:
                self.revision = self.info.revision
                keys = [(self.info.id, place) for place in self.places]
                rows = [store.database.rows(SELECT_STATE, key) for key in keys]
                self.states = [row[0][0] if row else None for row in rows]
        finally:
            store.close()

    def _job(self) -> str:
        """What makes an interrupted import the same one: all that decides which rows it leaves."""
        options = self.options
        sources = [
            [place, source.fingerprint(self.is_own)] for place, source in zip(self.places, self.sources, strict=True)
        ]
        existing = None if self.info is None else [self.info.id, self.revision]
        how = [options.include_spam, options.attachment_text, options.keep_html, options.max_message_bytes]
        return json.dumps([_FORMAT, self.inbox, sources, existing, self.states, how, BATCH_MAILS, BATCH_BYTES])

    def _read_plan(self) -> ReadPlan:
        options = self.options
        reading = ReadOptions(options.attachment_text, options.keep_html, options.max_message_bytes)
        how = (reading, options.include_spam, self._num_workers(), self._is_stopped, options.progress, self.is_own)
        return ReadPlan(self._existing_rows, self.sources, self.states, *how)

    def _existing_rows(self) -> Iterator[StoredRow]:
        """The inbox's own mails come first, so that their Message-IDs stay."""
        if self.info is None:
            return
        store = EmailStore.open(self.mailbox)
        base = self.info.id * MAX_EMAILS
        last, num_found = base, 0
        try:
            while rows := store.database.rows(SELECT_ROWS, (last, base + MAX_EMAILS)):
                yield from (row[1:] for row in rows)
                last, num_found = rows[-1][0], num_found + len(rows)
        finally:
            store.close()
        if num_found != self.info.num_emails:  # building would lose some, or number them wrongly
            what = f"the inbox holds {num_found:,} mails and says {self.info.num_emails:,}"
            raise CorruptError(49, what, where=str(self.mailbox), next_step=DOCTOR)

    def _num_workers(self) -> int:
        if self.options.num_workers is not None:
            return self.options.num_workers
        num_stored = self.info.num_emails if self.info is not None else 0  # they are gone over too
        is_big = sum(source.num_bytes for source in self.sources) + num_stored * _USUAL_BYTES >= PARALLEL_BYTES
        return min(2, os.cpu_count() or 1) if is_big else 1

    def _index(self) -> IndexKind:
        return self.options.index or (self.info.index if self.info is not None else "fts5")

    def _has_index(self) -> bool:
        """Whether the index that lies beside the file, if one should, is there."""
        return self._index() != "whoosh" or whoosh_directory(self.mailbox, self.inbox, self.revision).is_dir()

    def _owner(self, staging: Staging) -> Address:
        known = self.info.owner if self.info is not None and self.info.owner.email else None
        return self.options.owner or known or staging.owner_guess().best()

    def _is_stopped(self) -> bool:
        return self.options.stopped() is not None

    def _check_stopped(self, staging: Staging) -> None:
        code = self.options.stopped()
        if code is not None:
            kept = f"{len(staging.done):,} batches are kept in {staging.folder.name}"
            raise StoppedError(code, "stopped", where=kept, next_step="the same command goes on from there")

    def _failure(self, error: OSError | sqlite3.DatabaseError, folder: Path) -> MailsleuthError | None:
        """Return what the user can mend; None for an error of the system that is not about room."""
        known: MailsleuthError = ResourceError(60, f"the import cannot be written: {error}", where=str(self.mailbox))
        if isinstance(error, sqlite3.DatabaseError):
            known = write_error(error, self.mailbox)
        elif error.errno not in _NO_ROOM:
            return None
        if not isinstance(known, ResourceError):
            return known
        kept = f", what was read is kept in {folder.name}" if folder.exists() else ""
        do = "close what else writes to it" if "locked" in known.what else "make room"
        next_step = f"{do} and import again: the mailbox is as it was{kept}"
        return ResourceError(60, known.what, where=self.mailbox.name, next_step=next_step)


def _check_target(mailbox: Path) -> None:
    folder = mailbox.parent
    if mailbox.is_dir():
        raise UsageError(62, "the mailbox is a folder", where=str(mailbox), next_step="name a file, such as my.db")
    if not folder.is_dir():
        raise UsageError(63, "no such folder for the mailbox", where=str(folder), next_step="make it first")
    if not os.access(mailbox if mailbox.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
        raise UsageError(64, "the mailbox cannot be written", where=str(mailbox), next_step="check its permissions")
