"""What the matcher is tested on: tables of labelled pairs, real questions, near misses, and ways to frame an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

from inbox_env.questions import Question, read_questions
from rewards.values import MONTHS, parse

FRAMES = (  # all written before the matcher could take any of them off
    "{}",
    "It is {}.",
    "According to the mail, it was {}.",
    "It says {}.",
    "{}, as he wrote on Monday.",
    "The answer is: {}",
    "Based on the email from Ken Lay dated 3 May 2001, the answer is {}.",
    "I found it in the message: {}.",
    '"{}" (see mail 12)',
    "**{}**",
    "{} - that is what the e-mail from Mark says.",
    "My answer: {}.",
    "The email states that it was {}.",
    "Per his note of May 3, {}.",
    "{} (according to the email from Jeff).",
    "From what I can see in the inbox, it's {}.",
    "She confirmed in her reply that it would be {}.",
    "That would be {}, per the thread.",
)


class Pair(NamedTuple):
    """A labelled row; `day` is the day of asking, if any."""

    question: str
    gold: str
    given: str
    day: str = ""

    def asked(self) -> Question:
        return ask(self.question, self.gold, day=self.day)


def ask(question: str, gold: str | None, *accepted: str, day: str = "") -> Question:
    kind = "single" if gold is not None else "unanswerable"
    return Question(
        id="q", inbox="i", question=question, answer=gold, accepted=accepted, message_ids=("<1>",) if gold else (),
        answerable=gold is not None, kind=kind, asked_on=date.fromisoformat(day) if day else None,
    )  # fmt: skip


def read_pairs(name: str, sign: str) -> list[Pair]:
    """Rows of a table with this sign."""
    rows, question, gold, day = [], "", "", ""
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            day = line[1:].strip()
        elif line.startswith("? "):
            question, gold = line[2:].split(" | ")
        elif line.startswith(sign):
            rows.append(Pair(question, gold, line[1:].removeprefix(" "), day))
    return rows


@cache
def real_questions(shared_data: Path) -> tuple[Question, ...]:
    return tuple(q for q in read_questions(shared_data / "questions" / "enron_train.jsonl") if q.answer is not None)


def forms_of(question: Question) -> tuple[str, ...]:
    return (question.answer or "", *question.accepted)


def near_misses(text: str) -> Iterator[str]:
    """The answer with one digit, month, half of the day, scale or currency changed, or taken back."""
    for match in re.finditer(r"\d", text):
        yield from (text[: match.start()] + digit + text[match.end() :] for digit in "0123456789" if digit != match[0])
    for index, month in enumerate(MONTHS):
        if match := re.search(rf"\b{month}[a-z]*", text, re.IGNORECASE):
            yield text[: match.start()] + MONTHS[(index + 1) % 12].title() + text[match.end() :]
    yield re.sub(r"(\b|\d)p(\.?m)", r"\1a\2", text, flags=re.IGNORECASE)
    yield text.replace("million", "billion")
    yield text.replace("million", "thousand")
    yield text.replace("$", "€")
    yield from (f"not {text}", f"{text} or maybe not", f"It was never {text}")


def keys_of(text: str) -> object:
    """The bare numbers of a text: a near miss with those of an accepted form ("$226,037.00") says the same."""
    return tuple(value.key for value in parse(text).values) if text[:2] not in ("no", "It") else text


def real_near_misses(question: Question) -> tuple[str, ...]:
    """Near misses of all forms of a real answer that say something else than each of them."""
    return _near_misses_of(forms_of(question))


@cache
def _near_misses_of(forms: tuple[str, ...]) -> tuple[str, ...]:
    same = {keys_of(form) for form in forms}
    misses = (text for form in forms for text in near_misses(form))
    return tuple(text for text in misses if text not in forms and keys_of(text) not in same)
