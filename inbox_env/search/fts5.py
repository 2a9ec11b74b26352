"""SQLite's full-text index as a `SearchIndex`: one contentless table per inbox, row ids in date order.

A date or as-of bound is a range of row ids and "newest first" is their order, so both stop early.
Keywords reach FTS5 only as quoted phrases. Knows nothing of how mail is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from inbox_env.database import Database
from inbox_env.emails import Email
from inbox_env.search.base import SearchQuery, SearchResult
from inbox_env.search.folding import FROM_MARK, TO_MARK, address_mark, indexed_fields, name_marks, words
from inbox_env.search.mails import MailTable

CREATE_TABLE = """CREATE VIRTUAL TABLE {table} USING fts5 (
    subject, who, body, content='', tokenize='unicode61 remove_diacritics 2')"""
DROP_TABLE = "DROP TABLE IF EXISTS {table}"
INSERT_ROW = "INSERT INTO {table} (rowid, subject, who, body) VALUES (?, ?, ?, ?)"
OPTIMIZE = "INSERT INTO {table} ({table}) VALUES ('optimize')"
COUNT = "SELECT count(*) FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?"
SELECT_NEWEST = """SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY rowid DESC LIMIT ? OFFSET ?"""
SELECT_RELEVANT = """SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY bm25({table}, 4.0, 1.0, 1.0), rowid DESC LIMIT ? OFFSET ?"""


class Fts5Index:
    """The FTS5 table of one inbox."""

    def __init__(self, database: Database, inbox_id: int) -> None:
        self._database = database
        self._mails = MailTable(database, inbox_id)
        self._table = table_name(inbox_id)

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`."""
        first, last = self._mails.visible_range(query.sent_after, query.sent_before, as_of)
        filters = filter_phrases(query)
        phrases = [phrase(words(keyword)) for keyword in query.keywords]
        num_matches = self._count([*filters, *phrases], first, last)
        if not num_matches:
            counts = {k: self._count([*filters, p], first, last) for k, p in zip(query.keywords, phrases, strict=True)}
            return SearchResult((), 0, counts if len(counts) > 1 else {})
        numbers = self._page([*filters, *phrases], first, last, query, limit)
        return SearchResult(self._mails.hits(numbers, query.keywords, snippet_chars), num_matches)

    def _count(self, phrases: list[str], first: int, last: int) -> int:
        if first > last or not all(phrases):
            return 0
        if not phrases:
            return last - first + 1
        return int(self._database.rows(COUNT.format(table=self._table), (" AND ".join(phrases), first, last))[0][0])

    def _page(self, phrases: list[str], first: int, last: int, query: SearchQuery, limit: int) -> list[int]:
        skip = (query.page - 1) * limit
        if not phrases:
            return list(range(last - skip, max(first - 1, last - skip - limit), -1))
        statement = SELECT_NEWEST if query.order == "newest" or not query.keywords else SELECT_RELEVANT
        parameters = (" AND ".join(phrases), first, last, limit, skip)
        return [row[0] for row in self._database.rows(statement.format(table=self._table), parameters)]


def table_name(inbox_id: int) -> str:
    """Return the name of an inbox's table."""
    return f"search_{inbox_id:d}"


def build_fts5(connection: sqlite3.Connection, inbox_id: int, emails: Iterable[tuple[int, Email]]) -> None:
    """(Re)create the table of one inbox from (number, email) pairs, inside the caller's transaction."""
    table = table_name(inbox_id)
    drop_fts5(connection, inbox_id)
    connection.execute(CREATE_TABLE.format(table=table))
    rows = ((number, *indexed_fields(email)) for number, email in emails)
    connection.executemany(INSERT_ROW.format(table=table), rows)
    connection.execute(OPTIMIZE.format(table=table))


def drop_fts5(connection: sqlite3.Connection, inbox_id: int) -> None:
    """Remove the table of one inbox, if there is one."""
    connection.execute(DROP_TABLE.format(table=table_name(inbox_id)))


def filter_phrases(query: SearchQuery) -> list[str]:
    """Return the FTS5 phrases of the sender and recipient filters."""
    wanted = ((FROM_MARK, query.from_addr), (TO_MARK, query.to_addr))
    return [phrase(person_marks(mark, who)) for mark, who in wanted if who is not None]


def person_marks(mark: str, who: str) -> list[str]:
    """Return the tokens that find a person: the whole address, or the words of a name, to stand in a row."""
    return [address_mark(mark, who)] if "@" in who.strip("@ ") else name_marks(mark, who)


def phrase(tokens: list[str]) -> str:
    """Return the quoted FTS5 phrase of `tokens`; empty when there are none, which matches nothing."""
    return '"' + " ".join(tokens) + '"' if tokens else ""
