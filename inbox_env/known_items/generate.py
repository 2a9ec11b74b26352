"""Known-item questions: about a mail that somebody remembers having got or sent, made from a mailbox without a model.

Each names a person, a topic in words of the mail (or near them), and often a rough time. Every question is checked by
search: the mail is found by one or two of its words, and no other mail of that person, topic and time is; what is
called unanswerable does not occur. Seeded: the same mailbox and seed give the same questions. Where a mail holds just
one amount, date, time, phone number or place, that is asked for, so that the answer can be checked by its text; who
sent a mail can be as well. The others are for find mode: their answer is only the mail's subject. Knows nothing of
policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

from inbox_env.errors import UsageError
from inbox_env.known_items.absent import ask_absent
from inbox_env.known_items.answers import Answer
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.pairs import ask_pairs
from inbox_env.known_items.single import ask_singles
from inbox_env.known_items.values import PLACES
from inbox_env.questions import AnswerType, Question

__all__ = ["KnownItems", "generate_known_items"]

UNANSWERABLE_RATE = 0.15
MULTI_RATE = 0.08
_NOUNS: dict[AnswerType, str] = {"amount": "amount", "date": "date", "time": "time", "phone": "phone number"}


def generate_known_items(
    items: KnownItems,
    others: Sequence[KnownItems],
    count: int,
    *,
    seed: int = 1,
    split: str = "",
    is_checkable: bool = False,
) -> list[Question]:
    """Return `count` questions on `items`, or fewer when its mail gives no more; no question twice.

    `others` are inboxes whose topics unanswerable questions may borrow. With `is_checkable` only questions whose
    answer can be checked by its text, and those without one. Raises UsageError when no mail can be asked about.
    """
    name = items.inbox.name
    random = Random(f"{seed}:{name}")
    num_answerable = count - round(UNANSWERABLE_RATE * count)
    pairs = _take(ask_pairs(items, random, is_checkable=is_checkable), round(MULTI_RATE * num_answerable))
    singles = ask_singles(items, num_answerable - len(pairs), random, is_checkable=is_checkable)
    found = _take(chain(pairs, singles), num_answerable)
    if not found:
        raise UsageError(80, f"no mail of {name!r} can be asked about", next_step="it needs mail between people")
    num_absent = round(UNANSWERABLE_RATE / (1 - UNANSWERABLE_RATE) * len(found))
    asked = [_asked_for(question) for question in found if question.kind != "multi"]
    absent = _take(ask_absent(items, others, asked, random), min(num_absent, count - len(found))) if asked else []
    drawn = found + absent
    random.shuffle(drawn)
    return [
        question.model_copy(update={"id": f"{name}-known-{seed}-{number:04d}", "split": split})
        for number, question in enumerate(drawn, 1)
    ]


def _asked_for(question: Question) -> Answer:
    """Return what a question asks for, without the answer."""
    nouns = (noun for noun in ("room", *PLACES) if question.answer_type == "place" and noun in question.question)
    return Answer(question.answer_type, "", noun=next(nouns, _NOUNS.get(question.answer_type, "")))


def _take(questions: Iterator[Question], count: int) -> list[Question]:
    taken: dict[str, Question] = {}
    while len(taken) < count and (question := next(questions, None)) is not None:
        taken.setdefault(question.question, question)
    return list(taken.values())
