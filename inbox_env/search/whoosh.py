"""Whoosh as a `SearchIndex`: a pure-Python index in a folder beside the mailbox file.

It finds the same mails as the FTS5 index; only the order by relevance differs. Documents are written newest
first, so that a document number gives the mail's number. Query objects are built, never parsed from text.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from whoosh.analysis import RegexTokenizer
from whoosh.fields import TEXT, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.index import FileIndex
from whoosh.query import And, Or, Phrase, Query, Term
from whoosh.scoring import BM25F
from whoosh.searching import SearchContext, Searcher

from inbox_env.database import Database, QueryTooSlow
from inbox_env.emails import Email
from inbox_env.search.base import SearchQuery, SearchResult
from inbox_env.search.folding import FROM_MARK, TO_MARK, indexed_fields, person_marks, words
from inbox_env.search.mails import MailTable
from inbox_env.search.manifest import verify_manifest, write_manifest

BOOSTS = {"subject": 4.0, "who": 1.0, "body": 1.0}
_TOKEN = rf"[{FROM_MARK}{TO_MARK}]*[^\W_]+"
_CHECK_EVERY = 128


class WhooshIndex:
    """The Whoosh index of one inbox; every thread gets its own searcher."""

    def __init__(self, database: Database, inbox_id: int, directory: Path) -> None:
        """Open the index in `directory`; raises CorruptError, before Whoosh reads it, unless it is our own."""
        self._mails = MailTable(database, inbox_id)
        verify_manifest(directory, self._mails.fingerprint())
        self._index = FileIndex(FileStorage(str(directory)), schema=_schema())
        self._limit_seconds = database.limit_seconds
        self._local = threading.local()

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`."""
        deadline = time.thread_time() + self._limit_seconds
        first, last = self._mails.visible_range(query.sent_after, query.sent_before, as_of)
        numbers = self._ranked(query, first, last, deadline)
        if not numbers:
            alone = {keyword: replace(query, keywords=(keyword,)) for keyword in query.keywords}
            counts = {keyword: len(self._ranked(one, first, last, deadline)) for keyword, one in alone.items()}
            return SearchResult((), 0, counts if len(counts) > 1 else {})
        skip = max(query.page - 1, 0) * limit
        rows = self._mails.rows(numbers[skip : skip + limit], bool(snippet_chars))
        return SearchResult(self._mails.hits(rows, query.keywords, snippet_chars), len(numbers))

    def _ranked(self, query: SearchQuery, first: int, last: int, deadline: float) -> list[int]:
        """Return the numbers of all matches, best or newest first."""
        expression = build_query(query)
        if first > last or expression is None:
            return []
        if not expression.subqueries:
            return list(range(last, first - 1, -1))
        is_by_relevance = query.order == "relevance" and bool(query.keywords)
        found = self._matches(expression, first, last, is_by_relevance, deadline)
        return [-place for _, place in sorted(found)]

    def _matches(
        self, expression: Query, first: int, last: int, is_scored: bool, deadline: float
    ) -> Iterator[tuple[float, int]]:
        """Yield (-score, -number) of every match in the range; the score is 0 unless `is_scored`."""
        searcher = self._searcher()
        num_emails = self._mails.num_emails
        context = SearchContext(weighting=searcher.weighting if is_scored else None)
        matcher = expression.matcher(searcher, context)
        seen = 0
        while matcher.is_active() and matcher.id() <= num_emails - first:
            number = num_emails - matcher.id()
            if number <= last:
                yield (-matcher.score() if is_scored else 0.0), -number
            matcher.next()
            seen += 1
            if seen % _CHECK_EVERY == 0 and time.thread_time() > deadline:
                raise QueryTooSlow

    def _searcher(self) -> Searcher:
        searcher: Searcher | None = getattr(self._local, "searcher", None)
        if searcher is None:
            searcher = self._local.searcher = self._index.searcher(weighting=BM25F())
        return searcher


def build_whoosh(directory: Path, emails: Iterable[Email], fingerprint: str) -> None:
    """(Re)place the index in `directory` by one of `emails`, given newest first; built beside, then renamed."""
    partial = directory.with_name(f"{directory.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_index(partial, emails)
        write_manifest(partial, fingerprint)
        shutil.rmtree(directory, ignore_errors=True)
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def build_query(query: SearchQuery) -> Any:
    """Return the conjunction of filters and keywords; empty for everything, None for what can match nothing."""
    wanted = ((FROM_MARK, query.from_addr), (TO_MARK, query.to_addr))
    clauses = [_phrase("who", person_marks(mark, who)) for mark, who in wanted if who is not None]
    keywords = [_keyword(words(keyword)) for keyword in query.keywords]
    if query.match == "any" and keywords:
        known = [keyword for keyword in keywords if keyword is not None]
        keywords = [Or(known) if known else None]
    clauses += keywords
    return And(clauses) if all(clause is not None for clause in clauses) else None


def _keyword(tokens: list[str]) -> Query | None:
    return Or([_phrase(name, tokens, boost) for name, boost in BOOSTS.items()]) if tokens else None


def _phrase(field: str, tokens: list[str], boost: float = 1.0) -> Query | None:
    if not tokens:
        return None
    return Term(field, tokens[0], boost=boost) if len(tokens) == 1 else Phrase(field, tokens, boost=boost)


def _schema() -> Schema:
    return Schema(**{name: TEXT(analyzer=RegexTokenizer(_TOKEN), phrase=True) for name in BOOSTS})


def _write_index(directory: Path, emails: Iterable[Email]) -> None:
    writer = FileIndex.create(FileStorage(str(directory)), _schema(), "MAIN").writer()
    for email in emails:
        writer.add_document(**dict(zip(BOOSTS, indexed_fields(email), strict=True)))
    writer.commit()
