"""The store: builds one inbox of a mailbox file at a time, and reads mails back out of it.

Mail text is stored once. A mail's number is its date rank inside its inbox, undated mails first.
Knows nothing of search syntax, tools or policies.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from sqlite_utils import Database as SqliteUtils

from inbox_env.database import (
    INSERT_SCHEMA,
    MAX_EMAILS,
    SCHEMA,
    SCHEMA_VERSION,
    SELECT_SCHEMA,
    Database,
    from_microseconds,
    to_microseconds,
)
from inbox_env.email_rows import MAIL_COLUMNS, clean, from_row, to_row
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError, ResourceError, UsageError
from inbox_env.search.fts5 import build_fts5, drop_fts5
from inbox_env.search.mails import SELECT_MESSAGE_IDS, fingerprint

IndexKind = Literal["fts5", "whoosh"]

CREATE_STAGED = """CREATE TABLE staging.staged (
    seq INTEGER PRIMARY KEY, message_id TEXT, sent_us INTEGER, sender_name TEXT, sender_email TEXT,
    subject TEXT, envelope TEXT, body TEXT)"""
INSERT_STAGED = f"INSERT INTO staging.staged ({MAIL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
SUFFIX_TWINS = """UPDATE staging.staged SET message_id = message_id || '#' || twins.place FROM (
    SELECT seq, row_number() OVER (PARTITION BY message_id ORDER BY sent_us, body, subject, seq) AS place
    FROM staging.staged
    WHERE message_id IN (SELECT message_id FROM staging.staged GROUP BY message_id HAVING count(*) > 1)
    ) AS twins WHERE staged.seq = twins.seq AND twins.place > 1"""
SELECT_STAGED_ORDER = "SELECT seq FROM staging.staged ORDER BY sent_us, message_id"
INSERT_MAIL = f"""INSERT INTO mails (id, inbox_id, {MAIL_COLUMNS})
    SELECT ?, ?, {MAIL_COLUMNS} FROM staging.staged WHERE seq = ?"""
DELETE_ALIASES = "DELETE FROM aliases WHERE inbox_id = ?"
INSERT_ALIASES = """INSERT OR IGNORE INTO aliases (inbox_id, message_id, mail_id)
    SELECT inbox_id, alias.value, mails.id FROM mails, json_each(envelope, '$.aliases') AS alias WHERE inbox_id = ?"""
DELETE_MAILS = "DELETE FROM mails WHERE inbox_id = ?"
SELECT_SUMMARY = "SELECT count(*), count(*) - count(sent_us), min(sent_us), max(sent_us) FROM mails WHERE inbox_id = ?"
INSERT_INBOX = """INSERT INTO inboxes (name, owner_name, owner_email, search_index, num_emails, num_undated)
    VALUES (?, '', '', 'fts5', 0, 0) ON CONFLICT (name) DO NOTHING"""
UPDATE_INBOX = """UPDATE inboxes SET owner_name = ?, owner_email = ?, search_index = ?,
    num_emails = ?, num_undated = ?, first_us = ?, last_us = ? WHERE id = ?"""
SELECT_INBOX_ID = "SELECT id FROM inboxes WHERE name = ?"
SELECT_INBOXES = """SELECT id, name, owner_name, owner_email, num_emails, first_us, last_us, search_index
    FROM inboxes ORDER BY name"""
VISIBLE = "(:as_of IS NULL OR sent_us <= :as_of)"
SELECT_BY_NUMBER = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id = :id AND {VISIBLE}"
SELECT_BY_MESSAGE_ID = f"""SELECT id, {MAIL_COLUMNS} FROM mails
    WHERE ((inbox_id = :inbox_id AND message_id = :message_id)
        OR id = (SELECT mail_id FROM aliases WHERE inbox_id = :inbox_id AND message_id = :message_id)) AND {VISIBLE}
    ORDER BY message_id <> :message_id LIMIT 1"""
SELECT_CHUNK = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id BETWEEN ? AND ? ORDER BY id"

_CHUNK = 500
_UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


@dataclass(frozen=True, slots=True)
class StoredEmail:
    """An email and its number inside its inbox: 1 is the first by date, after the undated ones."""

    number: int
    email: Email


@dataclass(frozen=True, slots=True)
class InboxInfo:
    """What a mailbox file says of one inbox; the dates are None when no mail is dated."""

    id: int
    name: str
    owner: Address
    num_emails: int
    first_date: datetime | None
    last_date: datetime | None
    index: IndexKind


class EmailStore:
    """A mailbox file opened read-only, for any number of threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._infos = {info.name: info for info in map(_to_info, database.rows(SELECT_INBOXES))}

    @classmethod
    def open(cls, path: Path) -> EmailStore:
        """Return the opened store; raises UsageError or CorruptError."""
        return cls(Database.open(path))

    def inboxes(self) -> list[InboxInfo]:
        """Return all inboxes of the file, by name."""
        return list(self._infos.values())

    def info(self, inbox: str) -> InboxInfo:
        """Return one inbox; raises UsageError naming up to five that exist."""
        if inbox not in self._infos:
            some = ", ".join(list(self._infos)[:5]) + (", ..." if len(self._infos) > 5 else "")
            where = str(self.database.path)
            raise UsageError(40, f"no inbox {inbox!r}", where=where, next_step=f"it holds: {some or 'none'}")
        return self._infos[inbox]

    def read(self, inbox: str, ref: int | str, as_of: datetime | None) -> StoredEmail | None:
        """Return the mail with this number or Message-ID, or None when the inbox shows none by `as_of`.

        The Message-ID may be that of a copy folded into the mail: the returned mail's own id is the canonical one.
        With `as_of`, an undated mail is not shown.
        """
        info = self.info(inbox)
        limit = None if as_of is None else to_microseconds(as_of)
        if isinstance(ref, str):
            key = {"inbox_id": info.id, "message_id": clean(ref), "as_of": limit}
            rows = self.database.rows(SELECT_BY_MESSAGE_ID, key)
        else:
            number = ref if 1 <= ref <= info.num_emails else 0
            rows = self.database.rows(SELECT_BY_NUMBER, {"id": info.id * MAX_EMAILS + number, "as_of": limit})
        return _to_stored(rows[0], info.id) if rows else None

    def emails(self, inbox: str) -> Iterator[StoredEmail]:
        """Yield all mails of an inbox, by number."""
        info = self.info(inbox)
        base = info.id * MAX_EMAILS
        for start in range(base + 1, base + info.num_emails + 1, _CHUNK):
            for row in self.database.rows(SELECT_CHUNK, (start, start + _CHUNK - 1)):
                yield _to_stored(row, info.id)

    def close(self) -> None:
        """Close the file for all threads."""
        self.database.close()


def build_inbox(
    path: Path, inbox: str, emails: Iterable[Email], *, owner: Address | None = None, index: IndexKind = "fts5"
) -> int:
    """(Re)build one inbox of the file at `path` in one transaction and return its number of mails.

    The file is created when absent; its other inboxes stay untouched. Memory does not grow with the mail: it is
    staged in a file beside. Mails that share a Message-ID are all kept: the later ones get the suffix `#2`,
    `#3` .. in the order of their content, whatever order they came in. Raises UsageError, CorruptError or
    ResourceError, and then leaves the file as it was.
    """
    with _writing(path) as connection:
        connection.execute("BEGIN")
        connection.execute(CREATE_STAGED)
        connection.executemany(INSERT_STAGED, map(to_row, emails))
        while connection.execute(SUFFIX_TWINS).rowcount > 0:
            pass  # a suffixed id may be another mail's own
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        _ensure_schema(connection, path)
        inbox_id, num_emails = _fill(connection, inbox, owner or Address("", ""), index)
        _index(connection, path, inbox, inbox_id, index)
        connection.execute("COMMIT")
    return num_emails


def whoosh_directory(path: Path, inbox: str) -> Path:
    """Return the folder beside the mailbox file that holds an inbox's Whoosh index."""
    return path.with_name(path.name + ".whoosh") / sha256(inbox.encode()).hexdigest()[:16]


def _fill(connection: sqlite3.Connection, inbox: str, owner: Address, index: IndexKind) -> tuple[int, int]:
    connection.execute(INSERT_INBOX, (clean(inbox),))
    inbox_id = int(connection.execute(SELECT_INBOX_ID, (clean(inbox),)).fetchone()[0])
    connection.execute(DELETE_ALIASES, (inbox_id,))
    connection.execute(DELETE_MAILS, (inbox_id,))
    order = enumerate(connection.execute(SELECT_STAGED_ORDER), inbox_id * MAX_EMAILS + 1)
    connection.executemany(INSERT_MAIL, ((row_id, inbox_id, seq) for row_id, (seq,) in order))
    connection.execute(INSERT_ALIASES, (inbox_id,))
    summary = connection.execute(SELECT_SUMMARY, (inbox_id,)).fetchone()
    connection.execute(UPDATE_INBOX, (clean(owner.name), clean(owner.email), index, *summary, inbox_id))
    return inbox_id, int(summary[0])


def _index(connection: sqlite3.Connection, path: Path, inbox: str, inbox_id: int, index: IndexKind) -> None:
    directory = whoosh_directory(path, inbox)
    if index == "fts5":
        build_fts5(connection, inbox_id, _written(connection, inbox_id))
        shutil.rmtree(directory, ignore_errors=True)
    else:
        from inbox_env.search.whoosh import build_whoosh  # slow to import and seldom used

        drop_fts5(connection, inbox_id)
        message_ids = (row[0] for row in connection.execute(SELECT_MESSAGE_IDS, (inbox_id,)))
        newest_first = (email for _, email in _written(connection, inbox_id, "DESC"))
        build_whoosh(directory, newest_first, fingerprint(message_ids))


def _written(
    connection: sqlite3.Connection, inbox_id: int, direction: Literal["ASC", "DESC"] = "ASC"
) -> Iterator[tuple[int, Email]]:
    base = inbox_id * MAX_EMAILS
    for row in connection.execute(f"{SELECT_CHUNK} {direction}", (base + 1, base + MAX_EMAILS - 1)):
        stored = _to_stored(row, inbox_id)
        yield stored.number, stored.email


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection with a `staging` database; on any exception nothing of it remains."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(41, "cannot write a mailbox here", where=str(path), next_step="name a file in a folder")
    is_new = not path.exists()
    staging = path.with_name(f"{path.name}.staging-{os.getpid()}")
    _remove_orphans(path)
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("ATTACH DATABASE ? AS staging", (str(staging),))
        connection.execute("PRAGMA staging.synchronous = OFF")
        yield connection
        is_new = False
    except sqlite3.DatabaseError as error:
        raise _write_error(error, path) from error
    finally:
        if connection is not None:
            connection.close()  # rolls back what was not committed
        for leftover in (staging, staging.with_name(staging.name + "-journal"), *([path] if is_new else ())):
            leftover.unlink(missing_ok=True)


def _remove_orphans(path: Path) -> None:
    """Remove the staging files of writers that were killed."""
    for staging in path.parent.iterdir():
        name, mark, rest = staging.name.partition(".staging-")
        pid = rest.removesuffix("-journal")
        if name == path.name and mark and pid.isdecimal() and not is_alive(int(pid)):
            staging.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Return whether a process with this id runs: files named after another one are left over."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_error(error: sqlite3.DatabaseError, path: Path) -> UsageError | CorruptError | ResourceError:
    what = f"the mailbox cannot be written: {error}"
    if not isinstance(error, sqlite3.OperationalError):
        return CorruptError(42, what, where=str(path), next_step="name another file")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE:
        return UsageError(43, what, where=str(path), next_step="check that the folder may be written")
    return ResourceError(44, what, where=str(path))


def _ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    database = SqliteUtils(connection, execute_plugins=False)
    tables = database.table_names()
    if not tables:
        for statement in SCHEMA:
            database.execute(statement)
        database.execute(INSERT_SCHEMA, (SCHEMA_VERSION,))
    elif "mailsleuth_schema" not in tables or database.execute(SELECT_SCHEMA).fetchone() != (SCHEMA_VERSION,):
        next_step = "name another file, or a mailbox made by this version"
        raise CorruptError(45, "not a mailbox of this version", where=str(path), next_step=next_step)


def _to_stored(row: tuple[Any, ...], inbox_id: int) -> StoredEmail:
    return StoredEmail(row[0] - inbox_id * MAX_EMAILS, from_row(row[1:]))


def _to_info(row: tuple[Any, ...]) -> InboxInfo:
    inbox_id, name, owner_name, owner_email, num_emails, first, last, index = row
    owner = Address(owner_name, owner_email)
    return InboxInfo(inbox_id, name, owner, num_emails, from_microseconds(first), from_microseconds(last), index)
