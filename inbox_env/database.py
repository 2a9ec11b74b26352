"""The mailbox file: its SQLite schema, and a read-only, time-limited way into it.

One file holds many inboxes. Knows nothing of emails' meaning, of search or of tools.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inbox_env.cpu_limit import CpuLimit
from inbox_env.errors import CorruptError, ResourceError, UsageError

SCHEMA_VERSION = 4
MAX_EMAILS = 1 << 24  # per inbox: a mail's row id is inbox_id * MAX_EMAILS + number
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CREATE_SCHEMA = "CREATE TABLE mailsleuth_schema (version INTEGER NOT NULL)"
INSERT_SCHEMA = "INSERT INTO mailsleuth_schema (version) VALUES (?)"
SELECT_SCHEMA = "SELECT version FROM mailsleuth_schema"
CREATE_INBOXES = """CREATE TABLE inboxes (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner_name TEXT NOT NULL, owner_email TEXT NOT NULL,
    search_index TEXT NOT NULL, num_emails INTEGER NOT NULL, num_undated INTEGER NOT NULL,
    first_us INTEGER, last_us INTEGER, revision INTEGER NOT NULL DEFAULT 0)"""
CREATE_MAILS = """CREATE TABLE mails (
    id INTEGER PRIMARY KEY, inbox_id INTEGER NOT NULL REFERENCES inboxes (id), message_id TEXT NOT NULL,
    sent_us INTEGER, sender_name TEXT NOT NULL, sender_email TEXT NOT NULL, subject TEXT NOT NULL,
    thread INTEGER, envelope TEXT NOT NULL, body TEXT NOT NULL)"""
CREATE_MESSAGE_ID_INDEX = "CREATE UNIQUE INDEX mails_by_message_id ON mails (inbox_id, message_id)"
CREATE_DATE_INDEX = "CREATE INDEX mails_by_date ON mails (inbox_id, sent_us)"
CREATE_THREAD_INDEX = "CREATE INDEX mails_by_thread ON mails (inbox_id, thread)"
CREATE_ALIASES = """CREATE TABLE aliases (
    inbox_id INTEGER NOT NULL, message_id TEXT NOT NULL, mail_id INTEGER NOT NULL REFERENCES mails (id),
    PRIMARY KEY (inbox_id, message_id)) WITHOUT ROWID"""
CREATE_SOURCES = """CREATE TABLE sources (
    inbox_id INTEGER NOT NULL, place TEXT NOT NULL, fingerprint TEXT NOT NULL, imap_state TEXT,
    num_mails INTEGER, PRIMARY KEY (inbox_id, place)) WITHOUT ROWID"""
TABLES = (CREATE_SCHEMA, CREATE_INBOXES, CREATE_MAILS, CREATE_ALIASES, CREATE_SOURCES)
INDEXES = (CREATE_MESSAGE_ID_INDEX, CREATE_DATE_INDEX, CREATE_THREAD_INDEX)

STATEMENT_SECONDS = 1.0  # of CPU, for a statement that reads a whole inbox; a search has less: MAX_SEARCH_SECONDS
_PROGRESS_OPCODES = 10_000  # well under a tenth of a second
_CACHED_STATEMENTS = 1024  # every inbox has its own: their tables differ
_MMAP_BYTES = 1 << 40  # all of the file that SQLite will map: its pages are shared by all threads, and not copied
DOCTOR = "run `mailsleuth doctor --mailbox` on this file"
_GONE = (0, 0, 0)
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION})
# FTS5 looks for changes before it reads, and SQLite checks a virtual table's declaration as if it were stored
_ALLOWED_TO_FTS5 = frozenset({(sqlite3.SQLITE_PRAGMA, "data_version"), (sqlite3.SQLITE_UPDATE, "sqlite_master")})


class QueryTooSlow(Exception):
    """A query ran into its time limit; the tools tell the policy to narrow it."""


class Database:
    """A mailbox file opened read-only; every thread gets its own connection.

    `limit_seconds` bounds the CPU time of one query: CPU, not wall time, so that a busy machine changes no result.
    """

    def __init__(self, path: Path, limit_seconds: float) -> None:
        self.path = path
        self.limit_seconds = limit_seconds
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._is_closed = False
        self._state = _state(path)
        self._generation = 0

    @classmethod
    def open(cls, path: Path, limit_seconds: float = STATEMENT_SECONDS) -> Database:
        """Return the opened file; raises UsageError when it is missing, CorruptError when it is no mailbox."""
        check_readable(path)
        _roll_back(path)
        database = cls(path, limit_seconds)
        database._check_schema()
        return database

    def begin(self, limit_seconds: float = inf) -> None:
        """Begin a query of several statements on this thread, with one limit for all that go on with it."""
        self._local.limit_seconds = min(limit_seconds, self.limit_seconds)
        self._local.limit = None  # made on first need: asking for CPU time costs more than many a query

    def rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), *, goes_on: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return all rows of one statement; raises QueryTooSlow past the limit and CorruptError on damage.

        `goes_on`: the statement belongs to the query that `begin` began; else it is one of its own.
        """
        connection = self._connection()
        if not goes_on:
            self.begin()
        try:
            return connection.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise QueryTooSlow from error
            raise self._damaged(error) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error

    def generation(self) -> int:
        """Return a number that grows when the file was written to or replaced: every thread then opens it anew.

        Nothing is locked while a mailbox is read, so whoever asks several questions in a row asks for this first.
        """
        state = _state(self.path)
        if state not in (self._state, _GONE):
            with self._lock:
                self._state, self._generation = state, self._generation + 1
        return self._generation

    def close(self) -> None:
        """Close every thread's connection; no query may be running."""
        with self._lock:
            self._is_closed = True
            while self._connections:
                self._connections.pop().close()

    def _connection(self) -> sqlite3.Connection:
        if self._is_closed:
            raise RuntimeError("this mailbox is closed")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None or self._local.generation != self._generation:
            self._local.generation = self._generation
            fresh = self._connect()
            with self._lock:
                if connection is not None and connection in self._connections:
                    self._connections.remove(connection)
                    connection.close()
                self._connections.append(fresh)
            self._local.connection = connection = fresh
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            # close() may run on another thread than the one that opened
            connection = sqlite3.connect(
                read_only_uri(self.path),
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_CACHED_STATEMENTS,
            )
            connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
            connection.execute("PRAGMA query_only = ON")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._damaged(error) from error
        connection.set_progress_handler(self._is_too_slow, _PROGRESS_OPCODES)
        connection.set_authorizer(_authorize)
        return connection

    def _is_too_slow(self) -> bool:
        limit: CpuLimit | None = self._local.limit
        if limit is None:
            self._local.limit = CpuLimit(float(self._local.limit_seconds))
            return False
        return limit.is_over()

    def _check_schema(self) -> None:
        try:
            version = self.rows(SELECT_SCHEMA)[0][0]
        except (CorruptError, IndexError) as error:
            what = "not a mailsleuth mailbox, or damaged"
            raise CorruptError(30, what, where=str(self.path), next_step=DOCTOR) from error
        if isinstance(version, int) and 0 < version < SCHEMA_VERSION:
            next_step = f"bring it up to date once: mailsleuth doctor --mailbox {self.path}"
            raise UsageError(33, f"a mailbox of an older version (schema {version})", next_step=next_step)
        if version != SCHEMA_VERSION:
            what = f"mailbox schema {version}, this version reads {SCHEMA_VERSION}"
            raise CorruptError(31, what, where=str(self.path), next_step=f"update mailsleuth, or {DOCTOR}")

    def _damaged(self, error: Exception) -> CorruptError | ResourceError:
        if _state(self.path) != self._state:
            what = "the mailbox was written to while it was open"
            return ResourceError(34, what, where=str(self.path), next_step="run it again")
        what = f"the mailbox cannot be read: {cause(error)}"
        next_step = f"mailsleuth doctor --full {self.path}"
        return CorruptError(32, what, where=str(self.path), next_step=next_step)


def check_readable(path: Path) -> None:
    """Raise UsageError when there is no file at `path`, or one that may not be read: SQLite's words tell neither."""
    if not path.is_file():
        raise UsageError(30, "no such mailbox file", where=str(path), next_step="make one with `mailsleuth import`")
    try:
        path.open("rb").close()
    except PermissionError as error:
        what = "the mailbox cannot be read"
        raise UsageError(29, what, where=str(path), next_step="check its permissions") from error


def cause(error: Exception) -> str:
    """Return what SQLite said, without the mail text that some of its messages quote."""
    return "text that is no UTF-8" if "decode" in str(error) else str(error)


def _roll_back(path: Path) -> None:
    """Let SQLite undo what a killed writer left behind: a read-only connection may not."""
    real = path.resolve()  # the journal lies beside the file, not beside a link to it
    if not real.with_name(real.name + "-journal").exists():
        return
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{quote(os.fsencode(real))}?mode=rw", uri=True)) as db,
    ):
        db.execute("PRAGMA schema_version").fetchone()


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes when the file is written to or replaced."""
    try:
        known = path.stat()
    except OSError:
        return _GONE
    return known.st_ino, known.st_size, known.st_mtime_ns


def read_only_uri(path: Path) -> str:
    """Return the SQLite URI that opens `path` read-only, as immutable when no journal lies beside it."""
    real = path.resolve()
    journals = (real.with_name(real.name + suffix) for suffix in ("-wal", "-journal"))
    immutable = "" if any(journal.exists() for journal in journals) else "&immutable=1"
    return f"file:{quote(os.fsencode(real))}?mode=ro{immutable}"


def to_microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC; `moment` is timezone-aware."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(sent_us: int | None) -> datetime | None:
    """Return the UTC instant; the inverse of `to_microseconds`."""
    return None if sent_us is None else EPOCH + timedelta(microseconds=sent_us)


def _authorize(action: int, first: str | None, *_: str | None) -> int:
    is_allowed = action in _ALLOWED or (action, first) in _ALLOWED_TO_FTS5
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY
