"""Reads every mail that can be read of a damaged mailbox file, whatever its list of inboxes says of them.

Rows are taken from the table of mails by their numbers; text that is no UTF-8 is mended. Knows nothing of what is
made of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inbox_env.database import MAX_EMAILS, read_only_uri
from inbox_env.email_rows import MAIL_COLUMNS, from_row
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError
from inbox_env.importing.building import IndexKind

SELECT_INBOXES = "SELECT id, name, owner_name, owner_email, search_index, num_emails FROM inboxes ORDER BY id"
SELECT_NEXT_ID = "SELECT id FROM mails WHERE id >= ? ORDER BY id LIMIT 1"
SELECT_LAST_ID = "SELECT id FROM mails WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1"
SELECT_CHUNK = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id > ? AND id < ? ORDER BY id LIMIT 500"
SELECT_ONE = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE id = ?"
SELECT_TRACES = "SELECT message_id, subject FROM mails WHERE id = ?"
COUNT_ROWS = "SELECT count(*) FROM mails"
SELECT_SOURCES = "SELECT place, fingerprint, imap_state, num_mails FROM sources WHERE inbox_id = ?"
SELECT_OLD_SOURCES = SELECT_SOURCES.replace("num_mails", "NULL")

MAX_LISTED = 1_000
_CHUNK = 500
_MAX_INBOX_ID = (1 << 63) // MAX_EMAILS - 1


@dataclass(frozen=True, slots=True)
class LostMail:
    """A mail that cannot be read: its number, and what can be read of its Message-ID and subject."""

    inbox: str
    number: int
    message_id: str
    subject: str


@dataclass(slots=True)
class FoundInbox:
    """An inbox as far as it can be read; `num_expected` mails should be there. `is_listed`: the file knows its name.

    The counts grow while `mails` is read.
    """

    id: int
    name: str
    owner: Address
    index: IndexKind
    num_expected: int
    is_listed: bool = True
    num_found: int = 0
    num_lost: int = 0
    num_mended: int = 0
    lost: list[LostMail] = field(default_factory=list)

    @property
    def is_odd(self) -> bool:
        """Whether anything is lost, was mended, or is not as the list of inboxes says."""
        agrees = self.is_listed and self.num_found == self.num_expected
        return bool(self.num_lost or self.num_mended or not agrees)


class Salvage:
    """The file, opened read-only."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None)
        self._connection.text_factory = bytes

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def inboxes(self) -> list[FoundInbox]:
        """Return the inboxes of the list, and one for the mails of each that is not in it."""
        rows = self._connection.execute(SELECT_INBOXES).fetchall()
        found = {row[0]: _listed(row) for row in rows if 0 < row[0] <= _MAX_INBOX_ID}
        names = {inbox.name for inbox in found.values()}
        for inbox_id in self._ids_of_mails():
            if inbox_id not in found:
                name = _free_name(names)
                found[inbox_id] = FoundInbox(inbox_id, name, Address("", ""), "fts5", 0, is_listed=False)
        return list(found.values())

    def sources(self, inbox: FoundInbox) -> list[tuple[str, str, str | None, int | None]]:
        """Return where the inbox's mail came from; when any was lost, without what tells how much was read."""
        rows: list[tuple[Any, ...]] = []
        for statement in (SELECT_OLD_SOURCES, SELECT_SOURCES):
            with suppress(sqlite3.DatabaseError):
                rows = self._connection.execute(statement, (inbox.id,)).fetchall()
        is_whole = not inbox.num_lost and inbox.is_listed
        known = [(*(None if value is None else _text(value)[0] for value in row[:3]), row[3]) for row in rows]
        return [
            (
                place or "",
                digest or "",
                state if is_whole else None,
                count if is_whole and isinstance(count, int) else None,
            )
            for place, digest, state, count in known
        ]

    def num_rows(self) -> int:
        """Return how many rows of mails there are, as far as that can be told."""
        with suppress(sqlite3.DatabaseError):
            return int(self._connection.execute(COUNT_ROWS).fetchone()[0])
        return 0

    def mails(self, inbox: FoundInbox) -> Iterator[Email]:
        """Yield every mail that can be read, and count."""
        base = inbox.id * MAX_EMAILS
        for number, row in self._numbered(base, max(inbox.num_expected, self._last_number(base))):
            try:
                email, is_mended = _mail(row)
            except CorruptError:
                self._lose(inbox, number)
                continue
            inbox.num_found += 1
            inbox.num_mended += is_mended
            yield email

    def _numbered(self, base: int, last: int) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        """Yield (number, row) of all numbers up to `last`; None for a row that is not there or cannot be read."""
        number = 0
        while number < last:
            try:
                rows = self._connection.execute(SELECT_CHUNK, (base + number, base + last + 1)).fetchall()
                end = rows[-1][0] - base if rows else last
            except sqlite3.DatabaseError:
                end = min(number + _CHUNK, last)
                rows = [row for one in range(number + 1, end + 1) for row in self._one(base + one)]
            found = {row[0] - base: row[1:] for row in rows}
            for number in range(number + 1, end + 1):  # noqa: B020  # goes on where it was
                yield number, found.get(number)

    def _one(self, row_id: int) -> list[tuple[Any, ...]]:
        with suppress(sqlite3.DatabaseError):
            return self._connection.execute(SELECT_ONE, (row_id,)).fetchall()
        return []

    def _lose(self, inbox: FoundInbox, number: int) -> None:
        inbox.num_lost += 1
        if len(inbox.lost) < MAX_LISTED:
            texts = ["", ""]
            with suppress(sqlite3.DatabaseError):
                row = self._connection.execute(SELECT_TRACES, (inbox.id * MAX_EMAILS + number,)).fetchone()
                texts = [_text(value)[0] for value in row or texts]
            inbox.lost.append(LostMail(inbox.name, number, *texts))

    def _last_number(self, base: int) -> int:
        with suppress(sqlite3.DatabaseError):
            row = self._connection.execute(SELECT_LAST_ID, (base, base + MAX_EMAILS)).fetchone()
            return int(row[0]) - base if row else 0
        return 0

    def _ids_of_mails(self) -> Iterator[int]:
        inbox_id = -1
        with suppress(sqlite3.DatabaseError):  # what cannot be reached so is found by the list only
            while inbox_id < _MAX_INBOX_ID and (
                row := self._connection.execute(SELECT_NEXT_ID, ((inbox_id + 1) * MAX_EMAILS,)).fetchone()
            ):
                inbox_id = row[0] // MAX_EMAILS
                yield inbox_id


def _mail(row: tuple[Any, ...] | None) -> tuple[Email, bool]:
    if row is None:
        raise CorruptError(35, "a mail in the mailbox is damaged")
    values = [_text(value) if isinstance(value, bytes) else (value, False) for value in row]
    return from_row(tuple(value for value, _ in values)), any(is_mended for _, is_mended in values)


def _text(value: object) -> tuple[str, bool]:
    """Return the value as text, and whether it had to be mended."""
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), True


def _listed(row: tuple[Any, ...]) -> FoundInbox:
    inbox_id, *rest, num_emails = row
    name, owner_name, owner_email, index = (_text(value)[0] for value in rest)
    expected = num_emails if isinstance(num_emails, int) and 0 <= num_emails < MAX_EMAILS else 0
    return FoundInbox(inbox_id, name, Address(owner_name, owner_email), _kind(index), expected)


def _kind(index: str) -> IndexKind:
    return "whoosh" if index == "whoosh" else "fts5"


def _free_name(names: set[str]) -> str:
    name, number = "recovered", 2
    while name in names:
        name, number = f"recovered-{number}", number + 1
    names.add(name)
    return name
