"""What a search index promises, whatever is behind it.

An index is opened for one inbox and can see nothing else. Keywords are literal and ANDed; a keyword of
several words is a phrase; case and accents are folded. Knows nothing of tools, policies or models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

Order = Literal["relevance", "newest"]
Match = Literal["all", "any"]
MAX_KEYWORDS = 16
MAX_KEYWORD_CHARS = 128
MAX_SEARCH_SECONDS = 0.25  # of CPU, whatever the index: a hundred times what a search takes


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One keyword search. `sent_after` and `sent_before` are UTC days, both inclusive.

    `match` "any" finds mails that hold at least one keyword: for baselines, never offered to a policy.
    """

    keywords: tuple[str, ...]
    from_addr: str | None = None
    to_addr: str | None = None
    sent_after: date | None = None
    sent_before: date | None = None
    order: Order = "relevance"
    page: int = 1
    match: Match = "all"


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One matching mail: `number` is its short id inside the inbox."""

    number: int
    message_id: str
    date: datetime | None
    sender: str
    subject: str
    snippet: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A page of hits, how many matched in all, and (only when none matched) the matches of each keyword alone."""

    hits: tuple[SearchHit, ...]
    num_matches: int
    keyword_counts: dict[str, int] = field(default_factory=dict)


class SearchIndex(Protocol):
    """An index of one inbox. Implementations: `fts5.Fts5Index`, `whoosh.WhooshIndex`."""

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return page `query.page` of at most `limit` hits, none dated after `as_of` (None: no bound).

        A mail without a date is visible only when `as_of` is None.
        """
        ...
