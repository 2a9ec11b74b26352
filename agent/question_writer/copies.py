"""Questions that ask the same: nearly the same words, or the same answer from the same mails. Pure."""

from __future__ import annotations

from collections import defaultdict

from inbox_env.known_items.words import content_words, singular
from inbox_env.questions import Question

MAX_SHARED = 0.7  # of the content words of two questions that ask about different things


class Asked:
    """The questions kept so far, of all inboxes."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, tuple[str, ...], str], str] = {}
        self._words: dict[str, list[tuple[frozenset[str], str]]] = defaultdict(list)

    def earlier(self, question: Question) -> str | None:
        """Return the text of an earlier question that asks the same, or None."""
        if question.answerable and (same := self._facts.get(_fact(question))) is not None:
            return same
        asked = _words(question)
        return next((text for words, text in self._words[question.inbox] if _shared(asked, words) > MAX_SHARED), None)

    def add(self, question: Question) -> None:
        """Remember a question that is kept."""
        if question.answerable:
            self._facts[_fact(question)] = question.question
        self._words[question.inbox].append((_words(question), question.question))


def _fact(question: Question) -> tuple[str, tuple[str, ...], str]:
    return question.inbox, tuple(sorted(question.message_ids)), " ".join((question.answer or "").casefold().split())


def _words(question: Question) -> frozenset[str]:
    return frozenset(map(singular, content_words(question.question)))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of words; 0 for two empty ones."""
    return len(one & other) / len(one | other) if one | other else 0.0
