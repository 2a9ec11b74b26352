"""The store: builds one inbox of a mailbox file at a time, and reads mails back out of it.

Mail text is stored once. A mail's number is its date rank inside its inbox, undated mails first.
Knows nothing of search syntax, tools or policies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
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
from inbox_env.emails import Address, Attachment, Email
from inbox_env.errors import CorruptError, ResourceError, UsageError
from inbox_env.search.fts5 import build_fts5, drop_fts5

IndexKind = Literal["fts5", "whoosh"]

CREATE_STAGED = """CREATE TEMP TABLE staged (
    seq INTEGER PRIMARY KEY, message_id TEXT, sent_us INTEGER, sender_name TEXT, sender_email TEXT,
    subject TEXT, envelope TEXT, body TEXT)"""
DROP_STAGED = "DROP TABLE IF EXISTS temp.staged"
INSERT_STAGED = """INSERT INTO temp.staged
    (message_id, sent_us, sender_name, sender_email, subject, envelope, body) VALUES (?, ?, ?, ?, ?, ?, ?)"""
SUFFIX_TWINS = """UPDATE temp.staged SET message_id = message_id || '#' || twins.rank FROM (
    SELECT seq, row_number() OVER (PARTITION BY message_id ORDER BY sent_us, body, subject, seq) AS rank
    FROM temp.staged WHERE message_id IN (SELECT message_id FROM temp.staged GROUP BY message_id HAVING count(*) > 1)
    ) AS twins WHERE staged.seq = twins.seq AND twins.rank > 1"""
INSERT_MAILS = """INSERT INTO mails
    (id, inbox_id, message_id, sent_us, sender_name, sender_email, subject, envelope, body)
    SELECT :base + row_number() OVER (ORDER BY sent_us, message_id), :inbox_id,
        message_id, sent_us, sender_name, sender_email, subject, envelope, body
    FROM temp.staged ORDER BY sent_us, message_id"""
DELETE_MAILS = "DELETE FROM mails WHERE inbox_id = ?"
SELECT_SUMMARY = "SELECT count(*), count(*) - count(sent_us), min(sent_us), max(sent_us) FROM mails WHERE inbox_id = ?"
INSERT_INBOX = """INSERT INTO inboxes (name, owner_name, owner_email, search_index, num_emails, num_undated)
    VALUES (?, '', '', 'fts5', 0, 0) ON CONFLICT (name) DO NOTHING"""
UPDATE_INBOX = """UPDATE inboxes SET owner_name = ?, owner_email = ?, search_index = ?,
    num_emails = ?, num_undated = ?, first_us = ?, last_us = ? WHERE id = ?"""
SELECT_INBOX_ID = "SELECT id FROM inboxes WHERE name = ?"
SELECT_INBOXES = """SELECT id, name, owner_name, owner_email, num_emails, first_us, last_us, search_index
    FROM inboxes ORDER BY name"""
MAIL_COLUMNS = "id, message_id, sent_us, sender_name, sender_email, subject, envelope, body"
SELECT_BY_ID = f"SELECT {MAIL_COLUMNS} FROM mails WHERE id = ?"
SELECT_BY_MESSAGE_ID = f"SELECT {MAIL_COLUMNS} FROM mails WHERE inbox_id = ? AND message_id = ?"
SELECT_CHUNK = f"SELECT {MAIL_COLUMNS} FROM mails WHERE id BETWEEN ? AND ? ORDER BY id"

_CHUNK = 500


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
        """Return the mail with this number or Message-ID, or None when the inbox shows none by then."""
        info = self.info(inbox)
        if isinstance(ref, int):
            is_in_range = 1 <= ref <= info.num_emails
            rows = self.database.rows(SELECT_BY_ID, (info.id * MAX_EMAILS + ref,)) if is_in_range else []
        else:
            rows = self.database.rows(SELECT_BY_MESSAGE_ID, (info.id, clean(ref)))
        stored = _to_stored(rows[0], info.id) if rows else None
        return stored if stored is not None and is_visible(stored.email, as_of) else None

    def emails(self, inbox: str) -> Iterator[StoredEmail]:
        """Yield all mails of an inbox, by number."""
        info = self.info(inbox)
        base = info.id * MAX_EMAILS
        for start in range(1, info.num_emails + 1, _CHUNK):
            for row in self.database.rows(SELECT_CHUNK, (base + start, base + start + _CHUNK - 1)):
                yield _to_stored(row, info.id)

    def close(self) -> None:
        """Close the file for all threads."""
        self.database.close()


def is_visible(email: Email, as_of: datetime | None) -> bool:
    """Whether a mail may be seen at `as_of`; an undated one only without a bound."""
    return as_of is None or (email.date is not None and email.date <= as_of)


def build_inbox(
    path: Path, inbox: str, emails: Iterable[Email], *, owner: Address | None = None, index: IndexKind = "fts5"
) -> int:
    """(Re)build one inbox of the file at `path` in one transaction and return its number of mails.

    The file is created when absent; its other inboxes stay untouched. Mails that share a Message-ID are all
    kept: the later ones get the suffix `#2`, `#3` .. in the order of their content, whatever order they came in.
    """
    with _writing(path) as connection:
        _ensure_schema(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(CREATE_STAGED)
        connection.executemany(INSERT_STAGED, map(_to_row, emails))
        while connection.execute(SUFFIX_TWINS).rowcount > 0:
            pass
        num_emails = _fill(connection, inbox, owner or Address("", ""), index)
        connection.execute(DROP_STAGED)
        connection.execute("COMMIT")
    return num_emails


def _fill(connection: sqlite3.Connection, inbox: str, owner: Address, index: IndexKind) -> int:
    connection.execute(INSERT_INBOX, (inbox,))
    inbox_id = int(connection.execute(SELECT_INBOX_ID, (inbox,)).fetchone()[0])
    connection.execute(DELETE_MAILS, (inbox_id,))
    connection.execute(INSERT_MAILS, {"base": inbox_id * MAX_EMAILS, "inbox_id": inbox_id})
    num_emails, num_undated, first, last = connection.execute(SELECT_SUMMARY, (inbox_id,)).fetchone()
    summary = (num_emails, num_undated, first, last)
    connection.execute(UPDATE_INBOX, (clean(owner.name), clean(owner.email), index, *summary, inbox_id))
    if index == "fts5":
        build_fts5(connection, inbox_id, _written(connection, inbox_id))
    else:
        drop_fts5(connection, inbox_id)
    return int(num_emails)


def _written(connection: sqlite3.Connection, inbox_id: int) -> Iterator[tuple[int, Email]]:
    base = inbox_id * MAX_EMAILS
    for row in connection.execute(SELECT_CHUNK, (base + 1, base + MAX_EMAILS - 1)):
        stored = _to_stored(row, inbox_id)
        yield stored.number, stored.email


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that rolls back on any exception; SQLite's own errors become one line."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(41, "cannot write a mailbox here", where=str(path), next_step="name a file in a folder")
    connection = None
    try:
        connection = sqlite3.connect(path)
        yield connection
    except sqlite3.OperationalError as error:
        raise ResourceError(40, f"the mailbox cannot be written: {error}", where=str(path)) from error
    except sqlite3.DatabaseError as error:
        raise CorruptError(40, f"the mailbox cannot be written: {error}", where=str(path)) from error
    finally:
        if connection is not None:
            connection.rollback()
            connection.close()


def _ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    database = SqliteUtils(connection, execute_plugins=False)
    tables = database.table_names()
    if not tables:
        with connection:
            for statement in SCHEMA:
                database.execute(statement)
            database.execute(INSERT_SCHEMA, (SCHEMA_VERSION,))
    elif "mailsleuth_schema" not in tables or next(database.query(SELECT_SCHEMA))["version"] != SCHEMA_VERSION:
        next_step = "name another file, or a mailbox made by this version"
        raise CorruptError(41, "not a mailbox of this version", where=str(path), next_step=next_step)


def _to_row(email: Email) -> tuple[str | int | None, ...]:
    envelope = {
        "to": [asdict(address) for address in email.to],
        "cc": [asdict(address) for address in email.cc],
        "bcc": [asdict(address) for address in email.bcc],
        "in_reply_to": email.in_reply_to,
        "references": email.references,
        "folders": email.folders,
        "attachments": [asdict(attachment) for attachment in email.attachments],
        "defects": email.defects,
    }
    return (
        clean(email.message_id),
        None if email.date is None else to_microseconds(email.date),
        clean(email.sender.name),
        clean(email.sender.email),
        clean(email.subject),
        clean(json.dumps(envelope, ensure_ascii=True)),
        clean(email.body),
    )


def _to_stored(row: tuple[Any, ...], inbox_id: int) -> StoredEmail:
    row_id, message_id, sent_us, name, address, subject, envelope_json, body = row
    envelope = json.loads(envelope_json)
    email = Email(
        message_id=message_id,
        date=from_microseconds(sent_us),
        sender=Address(name, address),
        to=tuple(Address(**item) for item in envelope["to"]),
        subject=subject,
        body=body,
        cc=tuple(Address(**item) for item in envelope["cc"]),
        bcc=tuple(Address(**item) for item in envelope["bcc"]),
        in_reply_to=envelope["in_reply_to"],
        references=tuple(envelope["references"]),
        folders=tuple(envelope["folders"]),
        attachments=tuple(Attachment(**item) for item in envelope["attachments"]),
        defects=tuple(envelope["defects"]),
    )
    return StoredEmail(row_id - inbox_id * MAX_EMAILS, email)


def _to_info(row: tuple[Any, ...]) -> InboxInfo:
    inbox_id, name, owner_name, owner_email, num_emails, first, last, index = row
    owner = Address(owner_name, owner_email)
    return InboxInfo(inbox_id, name, owner, num_emails, from_microseconds(first), from_microseconds(last), index)


def clean(text: str) -> str:
    """Return `text` with lone surrogates, which no file can hold, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
