"""What a draft must hold before any model is asked about it: form, quotes, answer, and how little it gives away.

Only the mails of its own batch can be named, so that no draft reaches another inbox. Pure but for one search; knows
nothing of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agent.question_writer.batches import Batch
from agent.question_writer.drafts import Draft, DraftKind
from agent.question_writer.mails import shown
from agent.question_writer.rejections import Rejected
from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.leak_report import measure, word_overlap
from inbox_env.leaks import own_leaks
from inbox_env.questions import Kind, Question
from inbox_env.search.folding import is_cjk, words
from inbox_env.store import StoredEmail
from rewards.answers import contains_answer, match_answer
from rewards.compare import is_comparable, is_compatible
from rewards.judge_guard import rule_out
from rewards.values import Parsed, Value, fold, parse, singular
from rewards.wording import content

MAX_OVERLAP = 0.8  # of a question's content words in its mail; half is what the writer is asked for
MIN_WORDS, MAX_CHARS = 4, 300
MIN_SUPPORT = 0.5  # of an answer's parts in its quotes
MAX_YEARS_AHEAD = 3
MIN_QUOTE_CHARS = 3
MAX_ANSWER_CHARS, MAX_TYPED_CHARS = 80, 160  # of an answer, and of one with a typed value in it
_KINDS: dict[DraftKind, Kind] = {
    "single": "single", "several": "multi", "correction": "distractor", "unanswerable": "unanswerable",
}  # fmt: skip
_GAP = re.compile(r"\s*(?:\[?\.{3,}\]?|\[?…\]?)\s*")
_MARKUP = re.compile(r"[<>{}\[\]\\`|]|https?:|www\.|={3,}|\n")
_POINTING = re.compile(
    r"\b(?:this|these|those|the above|the following|the attached|the given) (?:e-?mails?|mails?|messages?|threads?)\b"
    r"|\b(?:e-?mail|mail|message) (?:no\.? ?|number |#)?\d+\b|\bmessage-id\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget) (?:all|any|the|your|previous|everything)\b"
    r"|\b(?:system|previous) (?:prompt|instruct)|\byou are (?:a|an|now)\b|\brespond with\b|\breply with\b|\bjson\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft that passed: the question without its final id, what it is of, and the mails it came from.

    `hidden` are the Message-IDs without which nothing may give its answer; `near_id` is the mail that an unanswerable
    one comes near.
    """

    batch: int
    question: Question
    hidden: tuple[str, ...] = ()
    near_id: str = ""


def read_draft(row: Mapping[str, Any]) -> Draft:
    """Return the draft that an object of a reply is; raises Rejected for any other."""
    text = json.dumps({name: value for name, value in row.items() if value is not None})
    try:
        return Draft.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Rejected("unreadable", f"{where[:80]}: {first['type']}") from None


def check(draft: Draft, batch: Batch, inbox: Inbox) -> Candidate:
    """Return the draft as a candidate; raises Rejected with the first reason against it."""
    _check_form(draft.question)
    gold = _gold(draft, batch)
    question = _question(draft, batch, inbox, gold)
    if draft.kind == "unanswerable":
        return Candidate(batch.number, question, near_id=_near(draft, batch).email.message_id)
    _check_answer(question)
    question = question.model_copy(update={"accepted": tuple(_same_forms(question))})
    _check_quotes(draft, batch, gold, question, inbox.owner)
    _check_days(question, gold)
    _check_leaks(question, gold, inbox)
    hidden = question.message_ids if draft.kind == "single" else question.message_ids[-1:]
    return Candidate(batch.number, question, hidden)


def is_located(quote: str, email: Email) -> bool:
    """Return whether a mail holds a quote: whitespace, case and fancy quotes do not matter, gaps may be dots."""
    text = _squeezed(f"{email.subject}\n{email.body}")
    parts = [part for part in map(_squeezed, _GAP.split(quote)) if part]
    return sum(map(len, parts)) >= MIN_QUOTE_CHARS and all(part in text for part in parts)


def share_said(answer: str, texts: Iterable[str]) -> float:
    """Return which share of an answer's parts, typed values and words that mean something, these texts say."""
    text = "\n".join(texts)
    if any(map(is_cjk, answer)):  # whose words are not parted by blanks
        return float(_squeezed(answer) in _squeezed(text))
    said, told = parse(answer), parse(text)
    known = {singular(word) for word in told.words}
    parts = [_is_said(value, told.values) for value in _typed(said)]
    parts += [singular(word) in known for word in dict.fromkeys(content(said.words))]
    return sum(parts) / len(parts) if parts else 0.0


def says_values(answer: str, texts: Iterable[str]) -> bool:
    """Return whether these texts say every typed value of an answer."""
    told = parse("\n".join(texts)).values
    return all(_is_said(value, told) for value in _typed(parse(answer)))


def _check_form(question: str) -> None:
    if len(words(question)) < MIN_WORDS or len(question) > MAX_CHARS:
        raise Rejected("form", f"{len(words(question))} words, {len(question)} characters")
    if not question.isprintable() or _MARKUP.search(question):
        raise Rejected("form", "markup or an address")
    if _POINTING.search(question):
        raise Rejected("form", "it points at a mail")
    if _ORDER.search(question):
        raise Rejected("form", "it gives orders")


def _gold(draft: Draft, batch: Batch) -> tuple[StoredEmail, ...]:
    """Return the mails that hold the answer, oldest first: those quoted, of a correction the newest."""
    places = sorted({quote.mail for quote in draft.quotes})
    if places and places[-1] > len(batch.mails):
        raise Rejected("mails", f"mail {places[-1]} of {len(batch.mails)}")
    least, most = {"single": (1, 1), "unanswerable": (0, 0)}.get(draft.kind, (2, len(batch.mails)))
    if not least <= len(places) <= most:
        raise Rejected("mails", f"{draft.kind} with {len(places)} mails")
    mails = tuple(batch.mails[place - 1] for place in places)
    return mails[-1:] if draft.kind == "correction" else mails


def _near(draft: Draft, batch: Batch) -> StoredEmail:
    if draft.near is None or draft.near > len(batch.mails):
        raise Rejected("mails", "an unanswerable question near no mail")
    return batch.mails[draft.near - 1]


def _question(draft: Draft, batch: Batch, inbox: Inbox, gold: Sequence[StoredEmail]) -> Question:
    is_answerable = draft.kind != "unanswerable"
    if is_answerable == (draft.answer is None):
        raise Rejected("answer", "none is given" if is_answerable else "an unanswerable question has one")
    return Question(
        id="draft",
        inbox=batch.inbox,
        inbox_address=inbox.owner.email,
        question=draft.question,
        answer=draft.answer,
        accepted=tuple(dict.fromkeys(draft.accepted)) if is_answerable else (),
        message_ids=tuple(one.email.message_id for one in gold),
        answerable=is_answerable,
        kind=_KINDS[draft.kind],
        asked_on=batch.asked_on,
        evidence=" ... ".join(" ".join(quote.words.split()) for quote in draft.quotes) or None,
    )


def _check_answer(question: Question) -> None:
    answer = question.answer or ""
    if rule := rule_out(answer, question.model_copy(update={"answer": None, "accepted": ()})):
        raise Rejected("answer", rule)
    said = parse(answer)
    typed = _typed(said)
    if len(typed) < len(said.values) or (not typed and not content(said.words)):
        raise Rejected("answer", "yes, no, or nothing")
    if not answer.isprintable() or len(answer) > (MAX_TYPED_CHARS if typed else MAX_ANSWER_CHARS):
        raise Rejected("answer", f"{len(answer)} characters")
    if contains_answer(question.question, question):
        raise Rejected("told")


def _same_forms(question: Question) -> Iterator[str]:
    """Return the accepted forms that the matcher takes for the answer itself: looser ones reward wrong answers."""
    alone = question.model_copy(update={"accepted": ()})
    return (form for form in question.accepted if match_answer(form, alone) is True)


def _check_quotes(draft: Draft, batch: Batch, gold: Sequence[StoredEmail], question: Question, owner: Address) -> None:
    for quote in draft.quotes:
        if not is_located(quote.words, batch.mails[quote.mail - 1].email):
            raise Rejected("quote", f"not in mail {quote.mail}")
    answer = question.answer or ""
    quotes = {one.number: [q.words for q in draft.quotes if batch.mails[q.mail - 1] is one] for one in batch.mails}
    of_gold = [text for one in gold for text in quotes[one.number]]
    told = (_told(one.email, owner) for one in gold)
    if share_said(answer, of_gold) < MIN_SUPPORT or not says_values(answer, (*of_gold, *told)):
        raise Rejected("unsupported")
    if draft.kind == "correction":
        earlier = [text for number, quoted in quotes.items() if number != gold[0].number for text in quoted]
        if share_said(answer, earlier) == 1:
            raise Rejected("not_corrected")
    if draft.kind == "several" and any(share_said(answer, quotes[one.number]) == 1 for one in gold):
        raise Rejected("one_mail", "one quote says it all")


def _check_days(question: Question, gold: Sequence[StoredEmail]) -> None:
    days = [one.email.date for one in gold if one.email.date]
    sent = {(year, day.month, day.day) for day in days for year in (0, day.year)}  # 0: the year is not said
    last = question.asked_on.year if question.asked_on else 0
    for value in parse(question.question).values:
        if value.kind == "date" and value.key[:3] in sent:
            raise Rejected("date", "it names the day of its mail")
        if value.kind == "date" and value.key[0] and not 1900 <= value.key[0] <= last + MAX_YEARS_AHEAD:
            raise Rejected("date", f"the year {value.key[0]:.0f}")


def _check_leaks(question: Question, gold: Sequence[StoredEmail], inbox: Inbox) -> None:
    share = max(word_overlap(question, stored) for stored in gold)
    if share > MAX_OVERLAP:
        raise Rejected("overlap", f"{share:.0%}")
    for leak in own_leaks(measure(inbox, question)):
        if leak.name == "own_words":
            raise Rejected("own_words")
        if leak.name == "ambiguous" and question.kind != "distractor":  # what was corrected fits as well, and may
            raise Rejected("ambiguous", leak.detail)


def _typed(said: Parsed) -> list[Value]:
    return [value for value in said.values if value.kind != "polarity"]


def _is_said(value: Value, told: Sequence[Value]) -> bool:
    """Return whether a value is told; of plain numbers the noun does not matter ("90 MW", "90 mws delivered")."""
    return any(
        (is_comparable(other, value) and is_compatible(other, value))
        or (value.kind == "number" == other.kind and value.key == other.key)
        for other in told
    )


def _told(email: Email, owner: Address) -> str:
    """Return all that the writer saw of a mail, and when it was sent: an answer may say of which year a day is."""
    return f"{shown(email, owner)}\n{email.date.year if email.date else ''}"


def _squeezed(text: str) -> str:
    return " ".join(fold(text).split())
