"""What every index needs of the mails table: the range of numbers that a query may see, and a page's hits.

Knows nothing of full-text indexes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from hashlib import sha256
from typing import Any

from inbox_env.database import DOCTOR, MAX_EMAILS, Database, from_microseconds, to_microseconds
from inbox_env.errors import CorruptError
from inbox_env.search.base import SearchHit
from inbox_env.search.snippet import cut_snippet, find_keyword

SELECT_SIZE = "SELECT num_emails, num_undated FROM inboxes WHERE id = ?"
FIRST_SINCE = "SELECT id FROM mails WHERE inbox_id = ? AND sent_us >= ? ORDER BY sent_us, id LIMIT 1"
LAST_UNTIL = "SELECT id FROM mails WHERE inbox_id = ? AND sent_us <= ? ORDER BY sent_us DESC, id DESC LIMIT 1"
SELECT_MESSAGE_IDS = "SELECT message_id FROM mails WHERE inbox_id = ? ORDER BY message_id"
HIT_COLUMNS = "mails.message_id, mails.sent_us, mails.sender_name, mails.sender_email, mails.subject, mails.body"
BARE_HIT_COLUMNS = HIT_COLUMNS.replace("mails.body", "''")
SELECT_HITS = "SELECT id, {columns} FROM mails WHERE id IN ({marks})"
SELECT_ATTACHED = """SELECT id, envelope FROM mails WHERE id IN ({marks}) AND instr(envelope, '"text":')"""
_CACHED_DATES = 512


class MailTable:
    """The mails of one inbox, by number."""

    def __init__(self, database: Database, inbox_id: int) -> None:
        self._database = database
        self._inbox_id = inbox_id
        self.num_emails, self._num_undated = database.rows(SELECT_SIZE, (inbox_id,))[0]
        # an episode asks for its as-of date again and again
        self._number = lru_cache(_CACHED_DATES)(self._find_number)

    def visible_range(self, after: date | None, before: date | None, as_of: datetime | None) -> tuple[int, int]:
        """Return the first and last number that may be seen, both inclusive; first > last when there is none.

        Undated mails have the lowest numbers and are seen only without any bound.
        """
        if after is None and before is None and as_of is None:
            return 1, self.num_emails
        ends = [moment for moment in (as_of, _end(before)) if moment is not None]
        first, last = self._num_undated + 1, self.num_emails
        if after is not None:
            first = self._number(FIRST_SINCE, datetime.combine(after, time.min, UTC), self.num_emails + 1)
        if ends:
            last = self._number(LAST_UNTIL, min(ends), 0)
        return first, last

    def rows(self, numbers: Sequence[int], has_bodies: bool) -> list[tuple[Any, ...]]:
        """Return number and `HIT_COLUMNS` (without `has_bodies`, "" for the body) of these mails, in their order."""
        columns = HIT_COLUMNS if has_bodies else BARE_HIT_COLUMNS
        found = self._by_number(SELECT_HITS, numbers, columns)
        return [found.get(number, (number, None)) for number in numbers]

    def hits(
        self, rows: Sequence[tuple[Any, ...]], keywords: Sequence[str], snippet_chars: int
    ) -> tuple[SearchHit, ...]:
        """Return the hits of rows of number and `HIT_COLUMNS`; raises CorruptError when a mail is missing."""
        if any(row[1] is None for row in rows):
            raise CorruptError(33, "index and mails disagree", where=str(self._database.path), next_step=DOCTOR)
        if not snippet_chars:
            return tuple(_hit(row, "") for row in rows)
        wanted = [keyword.lower() for keyword in keywords]
        texts = [(row[6], find_keyword(row[6], wanted)) for row in rows]
        if wanted and any(place < 0 for _, place in texts):
            texts = self._with_attached(rows, texts, wanted)
        return tuple(_hit(row, cut_snippet(*text, snippet_chars)) for row, text in zip(rows, texts, strict=True))

    def _with_attached(
        self, rows: Sequence[tuple[Any, ...]], texts: Sequence[tuple[str, int]], wanted: Sequence[str]
    ) -> list[tuple[str, int]]:
        """Return the texts, in which a mail without a keyword in its body has its attachment's text instead."""
        missed = [row[0] for row, (_, place) in zip(rows, texts, strict=True) if place < 0]
        envelopes = self._by_number(SELECT_ATTACHED, missed)
        attached = {number: _attached_text(envelope, wanted) for number, envelope in envelopes.values()}
        return [attached.get(row[0]) or text for row, text in zip(rows, texts, strict=True)]

    def fingerprint(self) -> str:
        """Return a hash of which mails these are."""
        return fingerprint(row[0] for row in self._database.rows(SELECT_MESSAGE_IDS, (self._inbox_id,)))

    def _by_number(self, statement: str, numbers: Sequence[int], columns: str = "") -> dict[int, tuple[Any, ...]]:
        base = self._inbox_id * MAX_EMAILS
        ids = [base + number for number in numbers]
        statement = statement.format(columns=columns, marks=", ".join("?" * len(ids)))
        return {row[0] - base: (row[0] - base, *row[1:]) for row in self._database.rows(statement, ids)}

    def _find_number(self, statement: str, moment: datetime, otherwise: int) -> int:
        rows = self._database.rows(statement, (self._inbox_id, to_microseconds(moment)))
        return rows[0][0] - self._inbox_id * MAX_EMAILS if rows else otherwise


def fingerprint(message_ids: Iterable[str]) -> str:
    """Return the hex SHA-256 of the Message-IDs of an inbox, as `SELECT_MESSAGE_IDS` gives them."""
    digest = sha256()
    for message_id in message_ids:
        digest.update(message_id.encode() + b"\x00")
    return digest.hexdigest()


def _end(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time.max, UTC)


def _hit(row: tuple[Any, ...], snippet: str) -> SearchHit:
    number, message_id, sent_us, name, address, subject, _ = row
    return SearchHit(number, message_id, from_microseconds(sent_us), name or address, subject, snippet)


def _attached_text(envelope: str, wanted: Sequence[str]) -> tuple[str, int] | None:
    """Return the first attachment's text that holds a keyword, and where."""
    for attachment in json.loads(envelope).get("attachments", ()):
        text = attachment.get("text", "")
        place = find_keyword(text, wanted)
        if place >= 0:
            return text, place
    return None
