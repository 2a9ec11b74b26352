"""SQLite's full-text index as a `SearchIndex`: one contentless table per inbox, row ids in date order.

A date or as-of bound is a range of row ids and "newest first" is their order, so both stop early. Few matches are
ranked and counted by one statement; many are counted by a second one. Keywords reach FTS5 only as quoted phrases.
How rare a word is counts over the whole inbox, so mail later than the as-of date may sway the order by relevance,
never what is found. Knows nothing of how mail is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from inbox_env.database import Database
from inbox_env.emails import Email
from inbox_env.search.base import SearchQuery, SearchResult
from inbox_env.search.folding import FROM_MARK, TO_MARK, indexed_fields, person_marks, words
from inbox_env.search.mails import MailTable

# ascii: `indexed_fields` has folded everything, and what is not ASCII it has left as words and spaces
CREATE_TABLE = """CREATE VIRTUAL TABLE {table} USING fts5 (
    subject, who, body, content='', tokenize='ascii')"""
DROP_TABLE = "DROP TABLE IF EXISTS {table}"
INSERT_ROW = "INSERT INTO {table} (rowid, subject, who, body) VALUES (?, ?, ?, ?)"
OPTIMIZE = "INSERT INTO {table} ({table}) VALUES ('optimize')"
COUNT = "SELECT count(*) FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?"
SELECT_NEWEST = """SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY rowid DESC LIMIT ?"""
SELECT_RELEVANT = """SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY bm25({table}, 4.0, 1.0, 1.0), rowid DESC LIMIT ?"""
_MORE = 64  # matches asked for beyond the page: when there are fewer, their number is known


class Fts5Index:
    """The FTS5 table of one inbox."""

    def __init__(self, database: Database, inbox_id: int) -> None:
        self._database = database
        self._mails = MailTable(database, inbox_id)
        table = table_name(inbox_id)
        self._newest, self._relevant = SELECT_NEWEST.format(table=table), SELECT_RELEVANT.format(table=table)
        self._counting = COUNT.format(table=table)

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`."""
        first, last = self._mails.visible_range(query.sent_after, query.sent_before, as_of)
        numbers, num_matches = self._page(query, first, last, limit)
        if not num_matches:
            alone = {keyword: replace(query, keywords=(keyword,)) for keyword in query.keywords}
            counts = {keyword: self._count(match_expression(one), first, last) for keyword, one in alone.items()}
            return SearchResult((), 0, counts if len(counts) > 1 else {})
        return SearchResult(self._mails.hits(numbers, query.keywords, snippet_chars), num_matches)

    def _page(self, query: SearchQuery, first: int, last: int, limit: int) -> tuple[list[int], int]:
        """Return the numbers of one page, and how many mails match in all."""
        expression = match_expression(query)
        skip = (query.page - 1) * limit
        if expression is None or first > last:
            return [], 0
        if not expression:
            return list(range(last - skip, max(first - 1, last - skip - limit), -1)), last - first + 1
        statement = self._newest if query.order == "newest" or not query.keywords else self._relevant
        wanted = skip + limit + _MORE
        rows = self._database.rows(statement, (expression, first, last, wanted))
        num_matches = len(rows) if len(rows) < wanted else self._count(expression, first, last)
        return [row[0] for row in rows[skip : skip + limit]], num_matches

    def _count(self, expression: str | None, first: int, last: int) -> int:
        if first > last or expression is None:
            return 0
        if not expression:
            return last - first + 1
        return int(self._database.rows(self._counting, (expression, first, last))[0][0])


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


def match_expression(query: SearchQuery) -> str | None:
    """Return what FTS5 is asked: quoted phrases only; empty for everything, None for what can match nothing."""
    wanted = ((FROM_MARK, query.from_addr), (TO_MARK, query.to_addr))
    filters = [_phrase(person_marks(mark, who)) for mark, who in wanted if who is not None]
    keywords = [_phrase(words(keyword)) for keyword in query.keywords]
    if query.match == "any" and keywords:
        known = [keyword for keyword in keywords if keyword]
        keywords = ["(" + " OR ".join(known) + ")" if known else ""]
    phrases = filters + keywords
    return " AND ".join(phrases) if all(phrases) else None


def _phrase(tokens: list[str]) -> str:
    return '"' + " ".join(tokens) + '"' if tokens else ""
