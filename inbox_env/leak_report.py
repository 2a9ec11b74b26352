"""How much questions give away: whether their own words find the mail or stand in it, how long they are, how old it is.

Agent-free: it has a tokeniser of its own and asks the index. Knows nothing of policies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.known_items.words import content_words
from inbox_env.questions import Kind, Question
from inbox_env.search.base import MAX_KEYWORDS, Match, SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, StoredEmail

NUM_HITS = 10
MIN_WORDS = 3  # of a question, below which a share of them says nothing


@dataclass(frozen=True, slots=True)
class LeakReport:
    """Counts by kind; over answerable questions the share found by AND-ing all content words, the share whose mail
    ranks first when they are OR-ed, the median share of them that the mail holds, and the median days between mail and
    question (None when there are none); words a question has on average."""

    num_by_kind: dict[Kind, int]
    found_by_all_words: float | None
    first_by_any_word: float | None
    median_overlap: float | None
    mean_words: float
    median_days: float | None

    def lines(self) -> list[str]:
        """Return the report in words."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.num_by_kind.items()))
        lines = [
            f"{sum(self.num_by_kind.values()):,} questions: {kinds}",
            f"words of a question: {self.mean_words:.1f}",
        ]
        if self.found_by_all_words is not None:
            lines.append(f"found by AND-ing all content words of the question: {self.found_by_all_words:.0%}")
        if self.first_by_any_word is not None:
            lines.append(f"ranked first by OR-ing them: {self.first_by_any_word:.0%}")
        if self.median_overlap is not None:
            lines.append(f"share of them that the mail holds: {self.median_overlap:.0%} (median)")
        if self.median_days is not None:
            lines.append(f"days between mail and question: {self.median_days:.0f} (median)")
        return lines


def measure_leaks(store: EmailStore, questions: Sequence[Question]) -> LeakReport:
    """Return the report on `questions`, whose inboxes the store holds."""
    inboxes = {name: Inbox(store, name) for name in dict.fromkeys(question.inbox for question in questions)}
    answerable = [question for question in questions if question.answerable and question.message_ids]
    found = [found_by_all_words(inboxes[question.inbox], question) for question in answerable]
    first = [first_by_any_word(inboxes[question.inbox], question) for question in answerable]
    overlaps = [share for question in answerable for share in _overlaps(inboxes[question.inbox], question)]
    days = [number for question in answerable for number in _days(inboxes[question.inbox], question)]
    return LeakReport(
        num_by_kind=dict(Counter(question.kind for question in questions)),
        found_by_all_words=mean(found) if found else None,
        first_by_any_word=mean(first) if first else None,
        median_overlap=median(overlaps) if overlaps else None,
        mean_words=mean(len(question.question.split()) for question in questions) if questions else 0.0,
        median_days=median(days) if days else None,
    )


def found_by_all_words(inbox: Inbox, question: Question) -> bool:
    """Return whether a gold mail is among the first hits when all content words of the question are AND-ed."""
    return _is_found(inbox, question, "all", NUM_HITS)


def first_by_any_word(inbox: Inbox, question: Question) -> bool:
    """Return whether a gold mail ranks first among the mails that hold any content word of the question."""
    return _is_found(inbox, question, "any", 1)


def word_overlap(question: Question, stored: StoredEmail) -> float:
    """Return the share of the question's content words that its mail holds; 0 for a question of two words or fewer."""
    asked = set(content_words(question.question))
    email = stored.email
    people = (email.sender, *email.recipients)
    held = set(words(" ".join([email.subject, email.body, *(f"{one.name} {one.email}" for one in people)])))
    return len(asked & held) / len(asked) if len(asked) >= MIN_WORDS else 0.0


def _overlaps(inbox: Inbox, question: Question) -> list[float]:
    """Return the greatest share of any gold mail; empty when none is there."""
    gold = (inbox.read(one, as_of=None) for one in question.message_ids)
    shares = [word_overlap(question, stored) for stored in gold if stored is not None]
    return [max(shares)] if shares else []


def _is_found(inbox: Inbox, question: Question, match: Match, limit: int) -> bool:
    keywords = tuple(content_words(question.question)[:MAX_KEYWORDS])
    if not keywords:
        return False
    try:
        result = inbox.search(SearchQuery(keywords, match=match), as_of=question.as_of, limit=limit, snippet_chars=0)
    except QueryTooSlow:  # nobody finds anything so
        return False
    return not set(question.message_ids).isdisjoint(hit.message_id for hit in result.hits)


def _days(inbox: Inbox, question: Question) -> list[int]:
    """Return the days since the first gold mail; empty when it is undated or the question is."""
    stored = inbox.read(question.message_ids[0], as_of=None)
    if stored is None or stored.email.date is None or question.asked_on is None:
        return []
    return [(question.asked_on - stored.email.date.date()).days]
