"""How much questions give away: whether their own words find the mail, how long they are, how old the mail is.

Agent-free: it has a tokeniser of its own and asks the index. Knows nothing of policies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median, quantiles

from inbox_env.ambiguity import fitting_mails, mail_words
from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.known_items.words import content_words, timeless_words
from inbox_env.questions import AnswerType, Kind, Question
from inbox_env.search.base import MAX_KEYWORDS, Match, SearchQuery
from inbox_env.store import EmailStore, StoredEmail

NUM_HITS = 10
MIN_WORDS = 3  # of a question, below which a share of them says nothing


@dataclass(frozen=True, slots=True)
class Figures:
    """What one question gives away; all None for one without a gold mail that the inbox holds.

    `days` from the first gold mail to the question (None too when either is undated), `overlap` the share of the
    content words that a gold mail holds, `others` the numbers of other mails that fit as well (None: cannot be told).
    """

    question: Question
    days: int | None = None
    overlap: float | None = None
    is_found_by_all_words: bool | None = None
    is_found_without_times: bool | None = None
    is_first_by_any_word: bool | None = None
    others: tuple[int, ...] | None = None

    def row(self) -> dict[str, object]:
        """Return the figures by name, for a JSON line."""
        shown = ("days", "overlap", "is_found_by_all_words", "is_found_without_times", "is_first_by_any_word", "others")
        return {"id": self.question.id, "kind": self.question.kind, **{name: getattr(self, name) for name in shown}}


@dataclass(frozen=True, slots=True)
class LeakReport:
    """Counts by kind and type of answer, words a question has on average; over questions with a mail the share found by
    AND-ing all content words, the same for those that do not say when, the share whose mail ranks first when they are
    OR-ed, the share of content words that the mail holds, and the days between mail and question: the tenth, the
    median, the ninetieth in a hundred. None where there is nothing to count."""

    num_by_kind: dict[Kind, int]
    num_by_answer: dict[AnswerType, int]
    mean_words: float
    found_by_all_words: float | None
    found_without_times: float | None
    first_by_any_word: float | None
    mean_overlap: float | None
    days: tuple[float, float, float] | None
    num_ambiguous: int
    num_judged: int  # of those whose words say enough to look for other mails that fit

    def lines(self) -> list[str]:
        """Return the report in words."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.num_by_kind.items()))
        types = ", ".join(f"{count:,} {name}" for name, count in sorted(self.num_by_answer.items()) if name)
        shares = (
            ("found by AND-ing all content words of the question", self.found_by_all_words),
            ("the same without the words that say when", self.found_without_times),
            ("ranked first by OR-ing them", self.first_by_any_word),
            ("content words that stand in the mail", self.mean_overlap),
        )
        num_questions = sum(self.num_by_kind.values())
        lines = [f"{num_questions:,} question{'s' * (num_questions != 1)}: {kinds}"]
        lines += [f"answers: {types}"] if types else []
        lines.append(f"words of a question: {self.mean_words:.1f}")
        lines += [f"{name}: {share:.0%}" for name, share in shares if share is not None]
        if self.num_judged:
            lines.append(f"another mail fits as well: {self.num_ambiguous:,} of {self.num_judged:,} that can be judged")
        if self.days is not None:
            low, middle, high = self.days
            lines.append(
                f"days between mail and question: {middle:.0f} (median), {low:.0f} to {high:.0f} (middle 80 %)"
            )
        return lines


def measure_leaks(store: EmailStore, questions: Sequence[Question]) -> LeakReport:
    """Return the report on `questions`, whose inboxes the store holds."""
    inboxes = {name: Inbox(store, name) for name in dict.fromkeys(question.inbox for question in questions)}
    return summarise([measure(inboxes[question.inbox], question) for question in questions])


def summarise(figures: Sequence[Figures]) -> LeakReport:
    """Return the report on questions that were measured."""
    questions = [one.question for one in figures]
    days = [one.days for one in figures if one.days is not None]
    others = [one.others for one in figures if one.others is not None]
    return LeakReport(
        num_by_kind=dict(Counter(question.kind for question in questions)),
        num_by_answer=dict(Counter(question.answer_type for question in questions)),
        mean_words=mean(len(question.question.split()) for question in questions) if questions else 0.0,
        found_by_all_words=_mean([one.is_found_by_all_words for one in figures]),
        found_without_times=_mean([one.is_found_without_times for one in figures]),
        first_by_any_word=_mean([one.is_first_by_any_word for one in figures]),
        mean_overlap=_mean([one.overlap for one in figures]),
        days=_spread(days) if days else None,
        num_ambiguous=sum(bool(one) for one in others),
        num_judged=len(others),
    )


def measure(inbox: Inbox, question: Question) -> Figures:
    """Return the figures of one question."""
    found = (inbox.read(one, as_of=None) for one in question.message_ids)
    gold = [stored for stored in found if stored is not None]
    if not question.answerable or not gold:
        return Figures(question)
    sent = gold[0].email.date
    return Figures(
        question,
        days=None if sent is None or question.asked_on is None else (question.asked_on - sent.date()).days,
        overlap=max(word_overlap(question, stored) for stored in gold),
        is_found_by_all_words=found_by_all_words(inbox, question),
        is_found_without_times=found_without_times(inbox, question),
        is_first_by_any_word=first_by_any_word(inbox, question),
        others=fitting_mails(inbox, question, gold),
    )


def word_overlap(question: Question, stored: StoredEmail) -> float:
    """Return the share of the question's content words that its mail holds; 0 for a question of two words or fewer."""
    asked = set(content_words(question.question))
    return len(asked & mail_words(stored.email)) / len(asked) if len(asked) >= MIN_WORDS else 0.0


def found_by_all_words(inbox: Inbox, question: Question) -> bool:
    """Return whether a gold mail is among the first hits when all content words of the question are AND-ed."""
    return _is_found(inbox, question, content_words(question.question), "all", NUM_HITS)


def found_without_times(inbox: Inbox, question: Question) -> bool:
    """Return the same for the content words that do not say when: a searcher soon learns to leave those out."""
    return _is_found(inbox, question, timeless_words(question.question), "all", NUM_HITS)


def first_by_any_word(inbox: Inbox, question: Question) -> bool:
    """Return whether a gold mail ranks first among the mails that hold any content word of the question."""
    return _is_found(inbox, question, content_words(question.question), "any", 1)


def _is_found(inbox: Inbox, question: Question, keywords: Sequence[str], match: Match, limit: int) -> bool:
    if not keywords:
        return False
    query = SearchQuery(tuple(keywords[:MAX_KEYWORDS]), match=match)
    try:
        result = inbox.search(query, as_of=question.as_of, limit=limit, snippet_chars=0)
    except QueryTooSlow:  # nobody finds anything so
        return False
    return not set(question.message_ids).isdisjoint(hit.message_id for hit in result.hits)


def _mean(values: Sequence[float | bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _spread(days: Sequence[int]) -> tuple[float, float, float]:
    tenths = quantiles(days, n=10, method="inclusive") if len(days) > 1 else [days[0]] * 9
    return tenths[0], median(days), tenths[-1]
