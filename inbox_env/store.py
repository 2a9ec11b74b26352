"""The store: builds one inbox of a mailbox file at a time, and reads mails back out of it.

Mail text is stored once. A mail's number is its date rank inside its inbox, undated mails first.
Knows nothing of search syntax, tools or policies.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

from inbox_env.database import MAX_EMAILS, Database, from_microseconds, to_microseconds
from inbox_env.email_rows import MAIL_COLUMNS, clean, from_row
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError, UsageError
from inbox_env.importing.building import IndexKind, Plan, build, write_error
from inbox_env.importing.merging import join_copies_and_threads, merge_rows
from inbox_env.importing.row_files import row_file
from inbox_env.importing.staged_rows import ReadOptions, RowFile
from inbox_env.importing.staging import BatchRecord, Staging, staging_folder
from inbox_env.lock import mailbox_lock, real_path

__all__ = ["EmailStore", "InboxInfo", "IndexKind", "StoredEmail", "build_inbox"]

SELECT_INBOXES = """SELECT id, name, owner_name, owner_email, num_emails, first_us, last_us, search_index,
    revision FROM inboxes ORDER BY name"""
VISIBLE = "(:as_of IS NULL OR sent_us <= :as_of)"
SELECT_BY_NUMBER = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id = :id AND {VISIBLE}"
SELECT_BY_MESSAGE_ID = f"""SELECT id, {MAIL_COLUMNS} FROM mails
    WHERE ((inbox_id = :inbox_id AND message_id = :message_id)
        OR id = (SELECT mail_id FROM aliases WHERE inbox_id = :inbox_id AND message_id = :message_id)) AND {VISIBLE}
    ORDER BY message_id <> :message_id LIMIT 1"""
SELECT_THREAD = f"""SELECT id FROM mails WHERE inbox_id = :inbox_id
    AND thread = (SELECT thread FROM mails WHERE id = :id) AND {VISIBLE} ORDER BY id"""
SELECT_REVISION = "SELECT revision FROM inboxes WHERE id = ? AND name = ?"
SELECT_CHUNK = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id BETWEEN ? AND ? ORDER BY id"

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class StoredEmail:
    """An email and its number inside its inbox: 1 is the first by date, after the undated ones."""

    number: int
    email: Email


@dataclass(frozen=True, slots=True)
class InboxInfo:
    """What a mailbox file says of one inbox; the dates are None when no mail is dated.

    `revision` is another one each time the inbox is built.
    """

    id: int
    name: str
    owner: Address
    num_emails: int
    first_date: datetime | None
    last_date: datetime | None
    index: IndexKind
    revision: int


class EmailStore:
    """A mailbox file opened read-only, for any number of threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        try:
            self._infos = {info.name: info for info in map(_to_info, database.rows(SELECT_INBOXES))}
        except (TypeError, ValueError, OverflowError) as error:
            what, next_step = "the list of inboxes is damaged", "import the mail again"
            raise CorruptError(37, what, where=str(database.path), next_step=next_step) from error

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

    def thread(self, inbox: str, number: int, as_of: datetime | None) -> tuple[int, ...]:
        """Return the numbers of the mails in the thread of this one, oldest first; only those visible by `as_of`."""
        info = self.info(inbox)
        base = info.id * MAX_EMAILS
        limit = None if as_of is None else to_microseconds(as_of)
        key = {"inbox_id": info.id, "id": base + (number if 1 <= number <= info.num_emails else 0), "as_of": limit}
        numbers = tuple(row[0] - base for row in self.database.rows(SELECT_THREAD, key))
        return numbers if number in numbers else ()

    def revision(self, inbox: str) -> int:
        """Return the revision that the inbox has now, which may be another one than `info` says; -1 when it is gone.

        It is random: ids and names of inboxes are used again, and a file may be replaced by another one.
        """
        info = self.info(inbox)
        rows = self.database.rows(SELECT_REVISION, (info.id, clean(info.name)))
        return int(rows[0][0]) if rows else -1

    def close(self) -> None:
        """Close the file for all threads."""
        self.database.close()


def build_inbox(
    path: Path, inbox: str, emails: Iterable[Email], *, owner: Address | None = None, index: IndexKind = "fts5"
) -> int:
    """(Re)build one inbox of the file at `path` in one transaction and return its number of mails.

    The file is created when absent; its other inboxes stay untouched. Memory does not grow with the mail: it is
    staged in a folder beside. Mails that share a Message-ID are all kept: the later ones get the suffix `#2`,
    `#3` .. in the order of their content, whatever order they came in. Raises UsageError, CorruptError or
    ResourceError, and then leaves the file as it was.
    """
    path = real_path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(41, "cannot write a mailbox here", where=str(path), next_step="name a file in a folder")
    with mailbox_lock(path):
        staging = Staging(staging_folder(path, inbox), job="")
        try:
            _stage(staging, emails)
            merge_rows(staging.folder, 0, lambda: False)
            join_copies_and_threads(staging.folder, 0, lambda: False)
            return build(Plan(path, inbox, staging.folder, owner or Address("", ""), index))
        except sqlite3.DatabaseError as error:
            raise write_error(error, path) from error
        finally:
            staging.close(keep=False)


def _stage(staging: Staging, emails: Iterable[Email]) -> None:
    rows = RowFile(row_file(staging.folder, 0), ReadOptions())
    numbered = enumerate(emails)
    try:
        for batch in count():
            num_mails = rows.keep(batch, islice(numbered, _CHUNK))
            if not num_mails:
                return
            end = batch * _CHUNK + num_mails
            staging.commit(BatchRecord(batch, 0, 0, end, num_mails, (), Counter(), ({}, {}, {})))
    finally:
        rows.close()


def _to_stored(row: tuple[Any, ...], inbox_id: int) -> StoredEmail:
    return StoredEmail(row[0] - inbox_id * MAX_EMAILS, from_row(row[1:]))


def _to_info(row: tuple[Any, ...]) -> InboxInfo:
    inbox_id, name, owner_name, owner_email, num_emails, first, last, index, revision = row
    if not all(isinstance(number, int) for number in (inbox_id, num_emails)):
        raise TypeError("a column that is no number")
    owner = Address(owner_name, owner_email)
    dates = (from_microseconds(first), from_microseconds(last))
    return InboxInfo(inbox_id, name, owner, num_emails, *dates, index, revision)
