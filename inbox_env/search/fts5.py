"""SQLite's full-text index as a `SearchIndex`: one contentless table per inbox, row ids in date order.

A date or as-of bound is a range of row ids and "newest first" is their order, so both stop early. Matches that
fill no page are found, fetched and counted by one statement; more are counted by a second one. Keywords reach FTS5
only as quoted phrases. How rare a word is counts over the whole inbox, so mail later than the as-of date may sway
the order by relevance, never what is found. Knows nothing of how mail is shown.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from inbox_env.database import MAX_EMAILS, Database
from inbox_env.search.base import MAX_SEARCH_SECONDS, SearchQuery, SearchResult
from inbox_env.search.folding import FROM_MARK, TO_MARK, person_marks, words
from inbox_env.search.mails import BARE_HIT_COLUMNS, HIT_COLUMNS, MailTable

# ascii: `indexed_fields` has folded everything, and what is not ASCII it has left as words and spaces
CREATE_TABLE = """CREATE VIRTUAL TABLE {table} USING fts5 (
    subject, who, body, content='', tokenize='ascii')"""
DROP_TABLE = "DROP TABLE IF EXISTS {table}"
OPTIMIZE = "INSERT INTO {table} ({table}) VALUES ('optimize')"
COUNT = "SELECT count(*) FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?"
# one hit more than a page holds tells whether there are more; left joins, so that a mail that is missing shows
SELECT_NEWEST = """SELECT {table}.rowid, {columns} FROM {table} LEFT JOIN mails ON mails.id = {base} + {table}.rowid
    WHERE {table} MATCH ? AND {table}.rowid BETWEEN ? AND ? ORDER BY {table}.rowid DESC LIMIT ? OFFSET ?"""
SELECT_RELEVANT = """SELECT best.number, {columns} FROM (
        SELECT rowid AS number, bm25({table}, 4.0, 1.0, 1.0) AS score FROM {table}
        WHERE {table} MATCH ? AND rowid BETWEEN ? AND ? ORDER BY score, number DESC LIMIT ? OFFSET ?) AS best
    LEFT JOIN mails ON mails.id = {base} + best.number ORDER BY best.score, best.number DESC"""


@dataclass(frozen=True, slots=True)
class _Statements:
    """The statements of one inbox's table, with and without the mails' bodies."""

    count: str
    newest: str
    relevant: str
    newest_bare: str
    relevant_bare: str

    @classmethod
    def of(cls, inbox_id: int) -> _Statements:
        """Return the statements; every inbox has its own, prepared once per connection."""
        names = {"table": table_name(inbox_id), "base": inbox_id * MAX_EMAILS}
        full, bare = ({**names, "columns": columns} for columns in (HIT_COLUMNS, BARE_HIT_COLUMNS))
        newest, relevant = SELECT_NEWEST.format(**full), SELECT_RELEVANT.format(**full)
        return cls(
            COUNT.format(**names), newest, relevant, SELECT_NEWEST.format(**bare), SELECT_RELEVANT.format(**bare)
        )


class Fts5Index:
    """The FTS5 table of one inbox."""

    def __init__(self, database: Database, inbox_id: int) -> None:
        self._database = database
        self._mails = MailTable(database, inbox_id)
        self._statements = _Statements.of(inbox_id)

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`."""
        first, last = self._mails.visible_range(query.sent_after, query.sent_before, as_of)
        self._database.begin(MAX_SEARCH_SECONDS)
        expression = match_expression(query)
        skip = min(max(query.page - 1, 0) * limit, MAX_EMAILS)  # SQLite's integers end; so do the mails
        if expression is None or first > last:
            rows, num_matches = [], 0
        elif expression:
            rows = self._page(query, (expression, first, last, limit + 1, skip), bool(snippet_chars))
            is_last = 0 < len(rows) <= limit or not (rows or skip)
            num_matches = skip + len(rows) if is_last else self._count(expression, first, last)
        else:
            numbers = range(last - skip, max(first - 1, last - skip - limit), -1)
            rows, num_matches = self._mails.rows(numbers, bool(snippet_chars)), last - first + 1
        if not num_matches:
            return SearchResult((), 0, self._keyword_counts(query, first, last))
        return SearchResult(self._mails.hits(rows[:limit], query.keywords, snippet_chars), num_matches)

    def _page(self, query: SearchQuery, parameters: tuple[Any, ...], has_bodies: bool) -> list[tuple[Any, ...]]:
        known = self._statements
        if query.order == "newest" or not query.keywords:
            statement = known.newest if has_bodies else known.newest_bare
        else:
            statement = known.relevant if has_bodies else known.relevant_bare
        return self._database.rows(statement, parameters, goes_on=True)

    def _keyword_counts(self, query: SearchQuery, first: int, last: int) -> dict[str, int]:
        alone = {keyword: replace(query, keywords=(keyword,)) for keyword in query.keywords}
        if len(alone) < 2:
            return {}
        return {keyword: self._count(match_expression(one), first, last) for keyword, one in alone.items()}

    def _count(self, expression: str | None, first: int, last: int) -> int:
        if first > last or expression is None:
            return 0
        if not expression:
            return last - first + 1
        return int(self._database.rows(self._statements.count, (expression, first, last), goes_on=True)[0][0])


def table_name(inbox_id: int) -> str:
    """Return the name of an inbox's table."""
    return f"search_{inbox_id:d}"


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
