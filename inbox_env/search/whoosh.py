"""Whoosh as a `SearchIndex`: a pure-Python index in a folder beside the mailbox file.

It finds the same mails as the FTS5 index; only the order by relevance differs. Documents are written newest
first, so that a document number gives the mail's number. Query objects are built, never parsed from text.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from whoosh.analysis import RegexTokenizer
from whoosh.fields import TEXT, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.index import FileIndex
from whoosh.query import And, Or, Query, Term
from whoosh.scoring import BM25F
from whoosh.searching import SearchContext

from inbox_env.cpu_limit import CpuLimit
from inbox_env.database import Database
from inbox_env.emails import Email
from inbox_env.search.base import MAX_SEARCH_SECONDS, SearchQuery, SearchResult
from inbox_env.search.folding import FROM_MARK, TO_MARK, indexed_fields, person_marks, words
from inbox_env.search.mails import MailTable
from inbox_env.search.manifest import verify_manifest, write_manifest
from inbox_env.search.timed_matching import TimedPhrase, TimedSearcher

BOOSTS = {"subject": 4.0, "who": 1.0, "body": 1.0}
_TOKEN = rf"[{FROM_MARK}{TO_MARK}]*[^\W_]+"


class WhooshIndex:
    """The Whoosh index of one inbox; every thread gets its own searcher."""

    def __init__(self, database: Database, inbox_id: int, directory: Path) -> None:
        """Open the index in `directory`; raises CorruptError, before Whoosh reads it, unless it is our own."""
        self._mails = MailTable(database, inbox_id)
        verify_manifest(directory, self._mails.fingerprint())
        self._index = FileIndex(FileStorage(str(directory)), schema=_schema())
        self._database = database
        self._local = threading.local()

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`."""
        searcher = self._searcher()
        searcher.limit = CpuLimit(min(MAX_SEARCH_SECONDS, self._database.limit_seconds))
        first, last = self._mails.visible_range(query.sent_after, query.sent_before, as_of)
        numbers = self._ranked(query, first, last, searcher)
        if not numbers:
            alone = {keyword: replace(query, keywords=(keyword,)) for keyword in query.keywords}
            counts = {keyword: len(self._ranked(one, first, last, searcher)) for keyword, one in alone.items()}
            return SearchResult((), 0, counts if len(counts) > 1 else {})
        skip = max(query.page - 1, 0) * limit
        rows = self._mails.rows(numbers[skip : skip + limit], bool(snippet_chars))
        return SearchResult(self._mails.hits(rows, query.keywords, snippet_chars), len(numbers))

    def _ranked(self, query: SearchQuery, first: int, last: int, searcher: TimedSearcher) -> list[int]:
        """Return the numbers of all matches, best or newest first."""
        expression = build_query(query)
        if first > last or expression is None:
            return []
        if not expression.subqueries:
            return list(range(last, first - 1, -1))
        is_by_relevance = query.order == "relevance" and bool(query.keywords)
        found = self._matches(expression, first, last, is_by_relevance, searcher)
        return [-place for _, place in sorted(found)]

    def _matches(
        self, expression: Query, first: int, last: int, is_scored: bool, searcher: TimedSearcher
    ) -> Iterator[tuple[float, int]]:
        """Yield (-score, -number) of every match in the range; the score is 0 unless `is_scored`."""
        num_emails = self._mails.num_emails
        context = SearchContext(weighting=searcher.weighting if is_scored else None)
        matcher = expression.matcher(searcher, context)
        while matcher.is_active() and matcher.id() <= num_emails - first:
            number = num_emails - matcher.id()
            if number <= last:
                yield (-matcher.score() if is_scored else 0.0), -number
            matcher.next()
        searcher.check()

    def _searcher(self) -> TimedSearcher:
        searcher: TimedSearcher | None = getattr(self._local, "searcher", None)
        if searcher is None:
            searcher = self._local.searcher = TimedSearcher(
                self._index.reader(), fromindex=self._index, weighting=BM25F()
            )
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
    return Term(field, tokens[0], boost=boost) if len(tokens) == 1 else TimedPhrase(field, tokens, boost=boost)


def _schema() -> Schema:
    return Schema(**{name: TEXT(analyzer=RegexTokenizer(_TOKEN), phrase=True) for name in BOOSTS})


def _write_index(directory: Path, emails: Iterable[Email]) -> None:
    writer = FileIndex.create(FileStorage(str(directory)), _schema(), "MAIN").writer()
    for email in emails:
        writer.add_document(**dict(zip(BOOSTS, indexed_fields(email), strict=True)))
    writer.commit()
