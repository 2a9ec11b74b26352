"""Which questions of a file give their mail away, cannot be answered, or come twice: for any question file.

| reason | what it means |
|---|---|
| `own_words` | AND-ing the question's own words finds the mail: nothing is left to search for |
| `overlap` | nearly all of its words stand in the mail |
| `no_mail` | a mail that is said to hold the answer is not in the inbox |
| `too_early` | it is asked before its mail was sent, so that the mail is hidden |
| `copy` | another question of the file asks the same of the same inbox |
| `split` | another split asks the same, or about a mail with the same content |

Agent-free, as `leak_report`, whose figures are over all questions. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from inbox_env.inbox import Inbox
from inbox_env.leak_report import found_by_all_words, word_overlap
from inbox_env.questions import Question
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, StoredEmail

LeakName = Literal["own_words", "overlap", "no_mail", "too_early", "copy", "split"]
MAX_OVERLAP = 0.9  # of a question's content words in its mail


@dataclass(frozen=True, slots=True)
class Leak:
    """One reason not to believe one question; `detail` names what else is concerned."""

    question: Question
    name: LeakName
    detail: str = ""

    def line(self) -> str:
        """Return the leak as one line."""
        return f"{self.question.id}: {self.name}" + (f" ({self.detail})" if self.detail else "")


def find_leaks(store: EmailStore, questions: Sequence[Question]) -> list[Leak]:
    """Return every leak of every question, in their order; inboxes that the store lacks raise UsageError."""
    inboxes = {name: Inbox(store, name) for name in dict.fromkeys(question.inbox for question in questions)}
    seen = _Seen()
    return [leak for question in questions for leak in _leaks(inboxes[question.inbox], question, seen)]


def without_leaks(questions: Sequence[Question], leaks: Sequence[Leak]) -> list[Question]:
    """Return the questions that no leak names."""
    leaky = {id(leak.question) for leak in leaks}  # joined files may hold two questions of one name
    return [question for question in questions if id(question) not in leaky]


class _Seen:
    """The questions and gold mails so far, and in which split."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], Question] = {}
        self._mails: dict[str, Question] = {}

    def leaks(self, question: Question, gold: Sequence[StoredEmail]) -> Iterator[Leak]:
        """Yield what the question has in common with earlier ones, and remember it."""
        text = tuple(words(question.question))
        same = self._texts.setdefault((question.inbox, *text), question)
        if same is not question:
            yield Leak(question, "copy", same.id)
        for key in (f"text {' '.join(text)}", *(f"mail {stored.email.content_key()}" for stored in gold)):
            other = self._mails.setdefault(key, question)
            if other.split != question.split:
                yield Leak(question, "split", f"{other.id} of {other.split or 'no split'}")
                return


def _leaks(inbox: Inbox, question: Question, seen: _Seen) -> Iterator[Leak]:
    found = [(one, inbox.read(one, as_of=None)) for one in question.message_ids]
    gold = [stored for _, stored in found if stored is not None]
    if absent := [one for one, stored in found if stored is None]:
        yield Leak(question, "no_mail", absent[0])
    if question.answerable and gold:
        if question.as_of is not None and all(inbox.read(one.number, as_of=question.as_of) is None for one in gold):
            yield Leak(question, "too_early", str(question.asked_on))
        elif found_by_all_words(inbox, question):
            yield Leak(question, "own_words")
        elif (share := max(word_overlap(question, stored) for stored in gold)) >= MAX_OVERLAP:
            yield Leak(question, "overlap", f"{share:.0%}")
    yield from seen.leaks(question, gold)
