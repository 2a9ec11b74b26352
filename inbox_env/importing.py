"""Imports mail: every message read is imported, folded into a copy of itself, or listed as a reject.

Ties the readers to the store. Nothing is written before everything is read, and then in one transaction: an
interrupted import leaves the mailbox as it was. Knows nothing of the command line.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inbox_env.emails import Address, Email
from inbox_env.errors import ResourceError, UsageError
from inbox_env.ingest.folding import Folding
from inbox_env.ingest.owner import OwnerGuess
from inbox_env.ingest.parse import parse_email
from inbox_env.ingest.records import RawMail, Reject, Skipped, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, is_mail
from inbox_env.ingest.sources import Source, find_source, read_source
from inbox_env.store import EmailStore, InboxInfo, IndexKind, build_inbox

Progress = Callable[[int, int], None]
REJECTS_NAME = "rejects.jsonl"
_PROGRESS_BYTES = 1 << 18
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did: `read` == `imported` + `duplicates` + `rejected`; `total` mails are in the inbox now."""

    read: int
    imported: int
    duplicates: int
    rejected: int
    total: int
    owner: Address
    seconds: float
    rejects_path: Path | None


def import_mail(
    sources: Sequence[Path],
    mailbox: Path,
    inbox: str,
    *,
    owner: Address | None = None,
    index: IndexKind = "fts5",
    progress: Progress | None = None,
) -> ImportSummary:
    """Import everything the paths hold into one inbox, beside what it holds already, and return what happened.

    `owner` None: as before, or guessed. `progress` is called with bytes done and bytes in all. What could not be
    read is in `rejects.jsonl` beside the mailbox, which lists the rejects of the last import only. Raises UsageError
    for a path that is no mail or no mailbox, ResourceError when there is no room.
    """
    started = time.perf_counter()
    if not inbox.strip():
        raise UsageError(60, "an inbox needs a name", next_step="give one with --inbox")
    found = [find_source(path) for path in sources]
    _check_target(mailbox)
    run = _Run(progress, sum(source.num_bytes for source in found))
    try:
        with Folding(mailbox.absolute().parent) as folding:
            info = run.keep_existing(mailbox, inbox, folding)
            run.read_all(found, folding)
            run.check_something_read(sources)
            known = info.owner if info is not None and info.owner.email else None
            chosen = owner or known or run.guess.best()
            total = info.num_emails if info is not None else 0
            if run.imported or run.duplicates:
                total = build_inbox(mailbox, inbox, folding.emails(), owner=chosen, index=index)
        rejects_path = _write_rejects(mailbox.parent / REJECTS_NAME, run.rejects)
    except (OSError, sqlite3.OperationalError) as error:
        raise _no_room(error, mailbox) or error from error
    seconds = time.perf_counter() - started
    return ImportSummary(run.read, run.imported, run.duplicates, len(run.rejects), total, chosen, seconds, rejects_path)


class _Run:
    """The counts of one import while it goes on."""

    def __init__(self, progress: Progress | None, num_bytes: int) -> None:
        self.imported = self.duplicates = self.skipped = 0
        self.rejects: list[Reject] = []
        self.guess = OwnerGuess()
        self._progress, self._num_bytes = progress, num_bytes
        self._done = self._reported = 0

    @property
    def read(self) -> int:
        return self.imported + self.duplicates + len(self.rejects)

    def keep_existing(self, mailbox: Path, inbox: str, folding: Folding) -> InboxInfo | None:
        """Take in what the inbox holds already, first, so that its Message-IDs stay."""
        if not mailbox.exists():
            return None
        store = EmailStore.open(mailbox)
        try:
            info = next((info for info in store.inboxes() if info.name == inbox), None)
            for stored in store.emails(inbox) if info is not None else ():
                folding.add(stored.email)
                self.guess.add(stored.email)
        finally:
            store.close()
        return info

    def read_all(self, sources: Sequence[Source], folding: Folding) -> None:
        for item in _items(sources):
            if isinstance(item, Skipped):
                self.skipped += 1
                continue
            email = item if isinstance(item, Reject) else _parsed(item)
            if isinstance(email, Reject):
                self.rejects.append(email)
            else:
                self.guess.add(email)
                is_new = folding.add(email)
                self.imported += is_new
                self.duplicates += not is_new
            self._report(len(item.raw) if isinstance(item, RawMail) else 0)
        if self._progress is not None:
            self._progress(self._num_bytes, self._num_bytes)

    def check_something_read(self, sources: Sequence[Path]) -> None:
        if not self.read:
            where = ", ".join(map(str, sources))
            raise UsageError(61, "no mail found", where=where, next_step="give a mailbox file or a folder of mail")

    def _report(self, num_bytes: int) -> None:
        self._done += num_bytes
        if self._progress is not None and self._done - self._reported >= _PROGRESS_BYTES:
            self._reported = self._done
            self._progress(min(self._done, self._num_bytes), self._num_bytes)


def _items(sources: Sequence[Source]) -> Iterator[RawMail | Reject | Skipped]:
    for source in sources:
        yield from read_source(source)


def _parsed(item: RawMail) -> Email | Reject:
    if not is_mail(item.raw[:SNIFF_BYTES]):
        return Reject(path=item.path, offset=item.offset, reason="no mail header", sha256=digest(item.raw))
    try:
        email = parse_email(item.raw, folder=item.folder, fallback_date=item.envelope_date)
    except Exception as error:  # one broken mail must not stop the others: it is listed, with its bytes' hash
        reason = f"unreadable message: {type(error).__name__}"
        return Reject(path=item.path, offset=item.offset, reason=reason, sha256=digest(item.raw))
    if not item.labels and not item.defects:
        return email
    folders = tuple(dict.fromkeys((*email.folders, *item.labels)))
    return replace(email, folders=folders, defects=(*item.defects, *email.defects))


def _check_target(mailbox: Path) -> None:
    folder = mailbox.parent
    if mailbox.is_dir():
        raise UsageError(62, "the mailbox is a folder", where=str(mailbox), next_step="name a file, such as my.db")
    if not folder.is_dir():
        raise UsageError(63, "no such folder for the mailbox", where=str(folder), next_step="make it first")
    if not os.access(mailbox if mailbox.exists() else folder, os.W_OK):
        raise UsageError(64, "the mailbox cannot be written", where=str(mailbox), next_step="check its permissions")


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> Path | None:
    if not rejects:
        path.unlink(missing_ok=True)
        return None
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(reject.model_dump_json() + "\n" for reject in rejects)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _no_room(error: OSError | sqlite3.OperationalError, mailbox: Path) -> ResourceError | None:
    """SQLite's errors here come from writing the temporary file; of the system's, only lack of room is meant."""
    if isinstance(error, OSError) and error.errno not in _NO_ROOM:
        return None
    next_step = "make room and import again; the mailbox is as it was"
    return ResourceError(60, f"the import cannot be written: {error}", where=str(mailbox.parent), next_step=next_step)
