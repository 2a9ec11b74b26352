"""Rewrites questions whose words give their mail away, where one small change mends that; says what was changed.

Tried in this order: another word for one of the mail's, a modifier or half of a name left out, a rough time added where
other mails fit. A change is kept when the question has no such leak any more and its mail is still found by one or two
of its words. Seeded by nothing: the same question is always mended in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from inbox_env.ambiguity import mail_words, said_days
from inbox_env.inbox import Inbox
from inbox_env.known_items.synonyms import synonym
from inbox_env.known_items.words import ASKING, DULL, content_words
from inbox_env.leak_report import measure
from inbox_env.leaks import Leak, own_leaks
from inbox_env.questions import Question
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import StoredEmail

MENDABLE = frozenset({"own_words", "overlap", "ambiguous"})
NUM_HITS = 5  # that a searcher looks at
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_DETERMINERS = frozenset("a an the my our your his her its their this that".split())
_END = re.compile(r"\s*[?.!]?\s*$")


@dataclass(frozen=True, slots=True)
class Fix:
    """A question, what became of it, and what was changed."""

    before: Question
    after: Question
    what: str

    def line(self) -> str:
        """Return the change as one line."""
        return f"{self.before.id}: mended ({self.what})"


def mend(inbox: Inbox, question: Question, leaks: Sequence[Leak]) -> Fix | None:
    """Return the question without `leaks`, which are all of its leaks, or None when no small change mends them."""
    if not leaks or any(leak.name not in MENDABLE for leak in leaks):
        return None
    found = (inbox.read(one, as_of=None) for one in question.message_ids)
    gold = [stored for stored in found if stored is not None]
    is_ambiguous = any(leak.name == "ambiguous" for leak in leaks)
    for text, what in _changes(question, gold[0], is_ambiguous):
        changed = question.model_copy(update={"question": text})
        if not own_leaks(measure(inbox, changed)) and _is_solvable(inbox, changed):
            return Fix(question, changed, what)
    return None


def _changes(question: Question, gold: StoredEmail, is_ambiguous: bool) -> Iterator[tuple[str, str]]:
    """Yield rewritten texts and what was done."""
    text, email = question.question, gold.email
    held = mail_words(email)
    if is_ambiguous:
        if email.date is not None and said_days(text, question.asked_on) == (None, None):
            when = f"around {email.date:%B %Y}"
            end = _END.search(text)
            place = end.start() if end else len(text)
            yield f"{text[:place]} {when}{text[place:]}", f'added "{when}"'
        return
    tokens = list(_WORD.finditer(text))
    for token in tokens:
        other = synonym(token[0]) if token[0].islower() and token[0] in held else ""
        if other and held.isdisjoint(words(other)):
            yield f"{text[: token.start()]}{other}{text[token.end() :]}", f'"{other}" for "{token[0]}"'
    name = set(words(email.sender.name))
    for place, token in enumerate(tokens[:-1]):
        if _can_go(tokens[place - 1][0] if place else "", token[0], tokens[place + 1][0], name) and (
            text[token.end() : tokens[place + 1].start()] == " "
        ):
            yield f"{text[: token.start()]}{text[tokens[place + 1].start() :]}", f'without "{token[0]}"'


def _can_go(before: str, word: str, after: str, name: set[str]) -> bool:
    """Whether a word may be left out: the first half of the sender's name, or what stands between article and noun."""
    if word.lower() in name and after.lower() in name:
        return True
    is_telling = all(one.lower() not in DULL and one.lower() not in ASKING for one in (word, after))
    return before.lower() in _DETERMINERS and is_telling and after[0].islower()


def _is_solvable(inbox: Inbox, question: Question) -> bool:
    spoken = content_words(question.question)
    tries = [*((word,) for word in spoken), *combinations(spoken, 2)]
    found = (
        inbox.search(SearchQuery(keywords), as_of=question.as_of, limit=NUM_HITS, snippet_chars=0) for keywords in tries
    )
    return any(not set(question.message_ids).isdisjoint(hit.message_id for hit in result.hits) for result in found)
