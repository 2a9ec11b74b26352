"""Staging: the folder beside a mailbox that holds an unfinished import, so that it can go on after any interruption.

One file says which batches are done; each reading process has a file of rows. A batch counts only when it is listed
as done. Knows nothing of how mails are read or merged.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from inbox_env.durable import sync
from inbox_env.errors import UsageError
from inbox_env.importing.row_files import CONTROL_NAME
from inbox_env.ingest.owner import OwnerCounts, OwnerGuess
from inbox_env.ingest.records import TOO_LARGE, Reject

CREATE_JOB = "CREATE TABLE job (description TEXT NOT NULL, boot TEXT NOT NULL)"
CREATE_BATCHES = """CREATE TABLE batches (
    batch INTEGER PRIMARY KEY, file INTEGER NOT NULL, source INTEGER NOT NULL, end_seq INTEGER NOT NULL,
    num_mails INTEGER NOT NULL, skipped TEXT NOT NULL, owner_counts TEXT NOT NULL, imap_state TEXT)"""
CREATE_REJECTS = """CREATE TABLE rejects (
    seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, path TEXT NOT NULL, offset INTEGER NOT NULL,
    reason TEXT NOT NULL, sha256 TEXT NOT NULL, code TEXT NOT NULL)"""
INSERT_JOB = "INSERT INTO job (description, boot) VALUES (?, ?)"
SELECT_JOB = "SELECT description, boot FROM job"
UPDATE_BOOT = "UPDATE job SET boot = ?"
INSERT_BATCH = "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_REJECT = "INSERT OR REPLACE INTO rejects VALUES (?, ?, ?, ?, ?, ?, ?)"
SELECT_BATCHES = "SELECT batch FROM batches ORDER BY batch"
SELECT_STATE = "SELECT end_seq, imap_state FROM batches WHERE source = ? ORDER BY batch DESC LIMIT 1"
SELECT_TOTALS = "SELECT coalesce(sum(num_mails), 0) FROM batches WHERE source >= 0"
SELECT_TOTALS_BY_SOURCE = "SELECT source, sum(num_mails) FROM batches WHERE source >= 0 GROUP BY source"
SELECT_SKIPPED = "SELECT skipped FROM batches WHERE skipped <> '{}'"
SELECT_COUNTS = "SELECT owner_counts FROM batches ORDER BY batch"
SELECT_REJECTS = "SELECT path, offset, reason, sha256, code FROM rejects ORDER BY seq"
COUNT_REJECTS = f"SELECT count(*) FROM rejects WHERE code <> '{TOO_LARGE}'"
DELETE_BATCHES = ("DELETE FROM batches WHERE batch >= ?", "DELETE FROM rejects WHERE batch >= ?")

_STOPPED_ORDERLY = "synced"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What is known of one finished batch: in which file its rows are, and what was counted."""

    batch: int
    file: int
    source: int
    end_seq: int
    num_mails: int
    rejects: tuple[tuple[int, Reject], ...]
    skipped: Counter[str]
    owner_counts: OwnerCounts
    imap_state: str | None = None


class Staging:
    """The folder, opened: made anew, or what the same import left behind."""

    def __init__(self, folder: Path, job: str) -> None:
        """Open `folder` for the import that `job` describes; what another import left there is removed."""
        if folder.is_symlink():
            raise UsageError(65, "the import's own folder is a link", where=str(folder), next_step="remove it")
        self.folder = folder
        self.is_resumed = folder.exists() and _can_go_on(folder, job)
        if not self.is_resumed:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._connection = _connect(folder)
        if self.is_resumed:
            self._connection.execute(UPDATE_BOOT, (boot_id(),))
        else:
            self._connection.execute("BEGIN")
            for statement in (CREATE_JOB, CREATE_BATCHES, CREATE_REJECTS):
                self._connection.execute(statement)
            self._connection.execute(INSERT_JOB, (job, boot_id()))
            self._connection.execute("COMMIT")
        self.done = {int(row[0]) for row in self._connection.execute(SELECT_BATCHES)}

    def commit(self, record: BatchRecord) -> None:
        """List a batch as done, with its rejects: from here on it is never read again."""
        self._connection.execute("BEGIN")
        rejects = [(seq, record.batch, *_reject_row(reject)) for seq, reject in record.rejects]
        self._connection.executemany(INSERT_REJECT, rejects)
        counted = (json.dumps(record.skipped), json.dumps(record.owner_counts), record.imap_state)
        row = (record.batch, record.file, record.source, record.end_seq, record.num_mails, *counted)
        self._connection.execute(INSERT_BATCH, row)
        self._connection.execute("COMMIT")
        self.done.add(record.batch)

    def keep_first_batches(self) -> int:
        """Forget what was done out of order and return how many batches remain, numbered from 0."""
        first = next(number for number in range(len(self.done) + 1) if number not in self.done)
        for statement in DELETE_BATCHES:
            self._connection.execute(statement, (first,))
        self.done = set(range(first))
        return first

    def state_of(self, source: int) -> tuple[int, str | None] | None:
        """Return up to which place a source is done and its IMAP state there; None when nothing of it is done."""
        row = self._connection.execute(SELECT_STATE, (source,)).fetchone()
        return None if row is None else (int(row[0]), row[1])

    def num_mails(self) -> int:
        """Return how many mails the sources gave, copies included."""
        return int(self._connection.execute(SELECT_TOTALS).fetchone()[0])

    def num_mails_by_source(self) -> dict[int, int]:
        """Return how many mails each source gave, copies included."""
        return dict(self._connection.execute(SELECT_TOTALS_BY_SOURCE).fetchall())

    def num_rejects(self) -> int:
        """Return how many things were rejected; mails that were cut do not count."""
        return int(self._connection.execute(COUNT_REJECTS).fetchone()[0])

    def skipped(self) -> Counter[str]:
        """Return how many mails were left out, by reason."""
        total: Counter[str] = Counter()
        for (counts,) in self._connection.execute(SELECT_SKIPPED):
            total.update(json.loads(counts))
        return total

    def rejects(self) -> Iterator[Reject]:
        """Yield the rejects and the mails that were cut, in order."""
        for path, offset, reason, digest, code in self._connection.execute(SELECT_REJECTS):
            yield Reject(path=path, offset=offset, reason=reason, sha256=digest, code=code)

    def owner_guess(self) -> OwnerGuess:
        """Return the guess over everything that was read."""
        guess = OwnerGuess()
        for (counts,) in self._connection.execute(SELECT_COUNTS):
            guess.merge(json.loads(counts))
        return guess

    def close(self, *, keep: bool) -> None:
        """Close the folder; kept on disk when asked to and anything was done, else removed."""
        if keep and self.done:
            with suppress(sqlite3.Error, OSError):  # it only means that a power cut would start it over
                _sync(self.folder)
                self._connection.execute(UPDATE_BOOT, (_STOPPED_ORDERLY,))
        self._connection.close()
        if not (keep and self.done):
            shutil.rmtree(self.folder, ignore_errors=True)


def staging_folder(mailbox: Path, inbox: str) -> Path:
    """Return the folder of an unfinished import into this inbox."""
    return mailbox.with_name(f"{mailbox.name}.partial-{sha256(inbox.encode('utf-8', 'replace')).hexdigest()[:8]}")


def staging_folders(mailbox: Path) -> list[Path]:
    """Return the folders of all unfinished imports into the mailbox."""
    return sorted(
        path for path in mailbox.absolute().parent.iterdir() if path.name.startswith(f"{mailbox.name}.partial-")
    )


def boot_id() -> str:
    """Return what changes when the machine starts anew; "" where that cannot be told."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def _can_go_on(folder: Path, job: str) -> bool:
    """Whether the folder is of the same import and whole: unsynced files count only until the machine restarts."""
    if not (folder / CONTROL_NAME).is_file():
        return False
    try:
        connection = _connect(folder)
        try:
            found = connection.execute(SELECT_JOB).fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False
    return found is not None and found[0] == job and found[1] in (_STOPPED_ORDERLY, boot_id())


def _connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / CONTROL_NAME, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _reject_row(reject: Reject) -> tuple[str, int, str, str, str]:
    return reject.path, reject.offset, reject.reason, reject.sha256, reject.code


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        sync(path)
