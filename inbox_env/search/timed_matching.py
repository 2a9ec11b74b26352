"""Whoosh's matchers under one deadline: terms and phrases that stop a search wherever its time is spent.

Whoosh asks nobody while it looks for the next match, and a phrase of frequent words may have none for very long.
Phrases match by sets of positions, in time linear in their number. Knows nothing of mail.
"""

from __future__ import annotations

from typing import Any

from whoosh.matching import NullMatcher
from whoosh.query import Phrase, SpanNear2, Term
from whoosh.searching import Searcher

from inbox_env.cpu_limit import CpuLimit
from inbox_env.database import QueryTooSlow

_STEPS_PER_LOOK = 64  # asking for CPU time costs as much as a step


class TimedSearcher(Searcher):  # type: ignore[misc]  # Whoosh has no types
    """A searcher whose matchers raise QueryTooSlow once the thread has used its time; for one thread."""

    limit = CpuLimit(float("inf"))
    _num_steps = 0

    def check(self) -> None:
        """Raise QueryTooSlow past the limit."""
        if self.limit.is_over():
            raise QueryTooSlow

    def postings(self, *args: Any, **kwargs: Any) -> Any:
        """Return the mails that hold a word, each step to the next of them counted."""
        found = super().postings(*args, **kwargs)
        step = found.next

        def counted_step() -> Any:
            self._num_steps += 1
            if self._num_steps % _STEPS_PER_LOOK == 0:
                self.check()
            return step()

        found.next = counted_step
        return found


class TimedPhrase(Phrase):  # type: ignore[misc]
    """A phrase of two words or more, for a `TimedSearcher`; scored as Whoosh scores it: by its words."""

    def matcher(self, searcher: TimedSearcher, context: Any = None) -> Any:
        """Return the matcher; made anew it stands at the first mail with the phrase, which may take long."""
        searcher.check()
        terms = [Term(self.fieldname, word, boost=self.boost) for word in self.words]
        if not all((self.fieldname, word.encode()) in searcher.reader() for word in self.words):
            return NullMatcher()
        return _PhraseMatcher([term.matcher(searcher, context) for term in terms], searcher)


class _PhraseMatcher(SpanNear2.SpanNear2Matcher):  # type: ignore[misc]
    def __init__(self, words: list[Any], searcher: TimedSearcher) -> None:
        self._searcher = searcher
        super().__init__(words)

    def copy(self) -> _PhraseMatcher:
        return _PhraseMatcher([word.copy() for word in self.ms], self._searcher)

    def _get_spans(self) -> set[int]:
        """Where the phrase begins in the current mail."""
        starts: set[int] | None = None
        for place, word in enumerate(self.ms):
            self._searcher.check()
            begins = {position - place for position in word.value_as("positions")}
            starts = begins if starts is None else starts & begins
            if not starts:
                break
        return starts or set()
