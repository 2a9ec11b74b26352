"""Which questions of a file give their mail away, cannot be answered, or come twice: for any question file.

| reason | what it means |
|---|---|
| `own_words` | AND-ing the question's own words finds the mail: nothing is left to search for |
| `overlap` | nearly all of its words stand in the mail |
| `ambiguous` | another mail fits its words as well |
| `no_mail` | a mail that is said to hold the answer is not in the inbox |
| `too_early` | it is asked before its mail was sent, so that the mail is hidden |
| `copy` | another question of the file asks the same of the same inbox |
| `split` | another split asks the same or nearly so, or about a mail with the same content or nearly so |

Agent-free, as `leak_report`, whose figures are over all questions. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from inbox_env.inbox import Inbox
from inbox_env.known_items.words import content_words
from inbox_env.leak_report import Figures, measure
from inbox_env.near_copies import NearCopies, shingles
from inbox_env.questions import Question
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, StoredEmail

LeakName = Literal["own_words", "overlap", "ambiguous", "no_mail", "too_early", "copy", "split"]
MAX_OVERLAP = 0.9  # of a question's content words in its mail
MIN_WORDS_TO_COMPARE = 4  # of a question: shorter ones are like many others


@dataclass(frozen=True, slots=True)
class Leak:
    """One reason not to believe one question; `detail` names what else is concerned."""

    question: Question
    name: LeakName
    detail: str = ""

    def line(self) -> str:
        """Return the leak as one line."""
        return f"{self.question.id}: {self.name}" + (f" ({self.detail})" if self.detail else "")


def find_leaks(
    store: EmailStore,
    questions: Sequence[Question],
    *,
    against: Sequence[Question] = (),
    figures: Sequence[Figures] | None = None,
) -> list[Leak]:
    """Return every leak of every question, in their order; inboxes that the store lacks raise UsageError.

    `against` are questions of other splits, which are compared with and not judged: of those whose inbox the store
    lacks only the text. `figures` are those of `questions`, where they were measured already.
    """
    inboxes = {name: Inbox(store, name) for name in dict.fromkeys(question.inbox for question in questions)}
    figures = figures or [measure(inboxes[question.inbox], question) for question in questions]
    held = {info.name for info in store.inboxes()}
    seen = _Seen()
    for other in against:
        seen.add(other, _gold(store, other) if other.inbox in held else [])
    return list(chain.from_iterable(_leaks(store, one, inboxes[one.question.inbox], seen) for one in figures))


def own_leaks(figures: Figures) -> list[Leak]:
    """Return the leaks that the words of a question are to blame for."""
    question = figures.question
    found: list[Leak] = []
    if figures.is_found_by_all_words:
        found.append(Leak(question, "own_words"))
    elif (figures.overlap or 0.0) >= MAX_OVERLAP:
        found.append(Leak(question, "overlap", f"{figures.overlap:.0%}"))
    if figures.others:
        some = ", ".join(map(str, figures.others[:3]))
        found.append(Leak(question, "ambiguous", f"mail {some}{' ..' if len(figures.others) > 3 else ''}"))
    return found


def without_leaks(questions: Sequence[Question], leaks: Sequence[Leak]) -> list[Question]:
    """Return the questions that no leak names."""
    leaky = {id(leak.question) for leak in leaks}  # joined files may hold two questions of one name
    return [question for question in questions if id(question) not in leaky]


def inboxes_in_two_splits(questions: Sequence[Question]) -> list[str]:
    """Return a line for each inbox whose questions are in more than one split: splits go by inbox."""
    splits: dict[str, dict[str, None]] = {}
    for question in questions:
        splits.setdefault(question.inbox, {})[question.split or "no split"] = None
    return [
        f"inbox {inbox} stands in {' and '.join(found)}: what is learnt of its mail is tested on it"
        for inbox, found in splits.items()
        if len(found) > 1
    ]


class _Seen:
    """The questions and gold mails so far, and in which split."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], Question] = {}
        self._mails: dict[str, Question] = {}
        self._near_questions, self._near_mails = NearCopies(), NearCopies()
        self._by_name: dict[str, Question] = {}

    def add(self, question: Question, gold: Sequence[StoredEmail]) -> list[Leak]:
        """Return what the question has in common with earlier ones, and remember it."""
        text = tuple(words(question.question))
        same = self._texts.setdefault((question.inbox, *text), question)
        leaks = [Leak(question, "copy", same.id)] if same is not question else []
        others = [*self._same(question, text, gold), *self._near(question, gold)]
        other = next((one for one in others if one.split != question.split), None)
        if other is not None:
            leaks.append(Leak(question, "split", f"{other.id} of {other.split or 'no split'}"))
        return leaks

    def _same(self, question: Question, text: Sequence[str], gold: Sequence[StoredEmail]) -> list[Question]:
        keys = (f"text {' '.join(text)}", *(f"mail {stored.email.content_key()}" for stored in gold))
        return [self._mails.setdefault(key, question) for key in keys]

    def _near(self, question: Question, gold: Sequence[StoredEmail]) -> list[Question]:
        name = str(len(self._by_name))
        self._by_name[name] = question
        asked = content_words(question.question)
        near = self._near_questions.add(name, asked) if len(asked) >= MIN_WORDS_TO_COMPARE else []
        for stored in gold:
            near += self._near_mails.add(name, shingles(words(stored.email.body)))
        return [self._by_name[one] for one in near]


def _leaks(store: EmailStore, figures: Figures, inbox: Inbox, seen: _Seen) -> Iterator[Leak]:
    question = figures.question
    gold = _gold(store, question)
    if absent := [one for one in question.message_ids if inbox.read(one, as_of=None) is None]:
        yield Leak(question, "no_mail", absent[0])
    if question.answerable and gold and question.as_of is not None and _are_hidden(inbox, question, gold):
        yield Leak(question, "too_early", str(question.asked_on))
    else:
        yield from own_leaks(figures)
    yield from seen.add(question, gold)


def _are_hidden(inbox: Inbox, question: Question, gold: Sequence[StoredEmail]) -> bool:
    return all(inbox.read(one.number, as_of=question.as_of) is None for one in gold)


def _gold(store: EmailStore, question: Question) -> list[StoredEmail]:
    found = (store.read(question.inbox, one, None) for one in question.message_ids)
    return [stored for stored in found if stored is not None]
