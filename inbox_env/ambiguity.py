"""Which other mails fit a question as well as its gold mail does, as far as its words can tell.

A mail fits when it holds every telling word of the question that a gold mail holds, is from the same sender where the
question names the sender, and of the time that the question says. Of a question in other words than its mail's nothing
can be told in this way. Asks the index; knows nothing of policies.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta

from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.known_items.names import long_forms
from inbox_env.known_items.synonyms import forms
from inbox_env.known_items.words import timeless_words
from inbox_env.questions import Question
from inbox_env.search.base import MAX_KEYWORDS, SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import StoredEmail

MIN_HELD, MIN_SHARE = 2, 0.75  # of the question's telling words, that a gold mail must hold for others to be compared
MAX_OTHERS = 10
_QUOTED_WORDS = 12  # of the gold mail's beginning: a mail that holds these in a row quotes it

_MONTHS = "january february march april may june july august september october november december".split()
_SEASONS = {"spring": (3, 5), "summer": (6, 8), "autumn": (9, 11), "fall": (9, 11), "winter": (12, 12)}
_PARTS = {
    "": (1, 31, 4),
    "around": (1, 31, 20),
    "early": (1, 10, 6),
    "end of": (21, 31, 6),
    "middle of": (11, 20, 6),
    "season": (1, 31, 10),
}
"""Days of a month, and days that stay open before and after."""
_MONTH_YEAR = re.compile(
    rf"\b(?:(?P<part>early|middle of|end of|around)\s+(?:in\s+)?)?(?P<month>{'|'.join(_MONTHS)}) (?P<year>\d{{4}})\b",
    re.IGNORECASE,
)
_SEASON_YEAR = re.compile(rf"\b({'|'.join(_SEASONS)}) (?:of )?(\d{{4}})\b", re.IGNORECASE)
_AGO = re.compile(
    r"\b(?:about )?(an?|a few|two|three|two or three|\d{1,2}) (day|week|month|year)s? ago\b", re.IGNORECASE
)
_COUNTS = {"a": 1, "an": 1, "a few": 5, "two": 2, "three": 3, "two or three": 3}
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def fitting_mails(inbox: Inbox, question: Question, gold: Sequence[StoredEmail]) -> tuple[int, ...] | None:
    """Return the numbers of at most ten other mails that fit `question`; None when its words do not say enough.

    A question on several mails is compared with none: they fit together only.
    """
    if question.kind == "multi" or not gold:
        return None
    asked = timeless_words(question.question)
    email = gold[0].email
    held = _held(asked, mail_words(email))
    if len(held) < max(MIN_HELD, MIN_SHARE * len(asked)):
        return None
    first, last = said_days(question.question, question.asked_on)
    query = SearchQuery(tuple(held[:MAX_KEYWORDS]), *_people(inbox, held, email), first, last)
    limit = MAX_OTHERS + len(question.message_ids)
    hits = inbox.search(query, as_of=question.as_of, limit=limit, snippet_chars=0).hits
    golden = {stored.number for stored in gold}
    others = [hit.number for hit in hits if hit.number not in golden and hit.message_id not in question.message_ids]
    return tuple(number for number in others if not _repeats(inbox, number, email))[:MAX_OTHERS]


def _held(asked: Sequence[str], mail: frozenset[str]) -> list[str]:
    """Return the words of a mail that a question says, as they are or in another form ("bill" for "invoice")."""
    found: dict[str, None] = {}
    for word in asked:
        others = () if word in mail else sorted((forms(word) | long_forms(word)) & mail)
        found.update(dict.fromkeys([word] if word in mail else others[:1]))
    return list(found)


def _people(inbox: Inbox, held: Sequence[str], email: Email) -> tuple[str | None, str | None]:
    """Return the addresses of the sender and the recipient, as far as the question names them.

    Of the owner's own mail the recipient is named, and "I" wrote it.
    """
    if _is_named(email.sender, held):
        return email.sender.email or None, None
    if email.sender.email != inbox.owner.email:
        return None, None
    recipient = next((one.email for one in email.recipients if _is_named(one, held)), None)
    return (email.sender.email, recipient) if recipient else (None, None)


def _is_named(person: Address, held: Sequence[str]) -> bool:
    return not set(held).isdisjoint(words(f"{person.name} {person.email.partition('@')[0]}"))


def said_days(text: str, asked_on: date | None) -> tuple[date | None, date | None]:
    """Return the days that a question means by a month, a season or so long ago, generously; (None, None) without."""
    if match := _MONTH_YEAR.search(text):
        year, month = int(match["year"]), _MONTHS.index(match["month"].lower()) + 1
        return _days(year, month, month, (match["part"] or "").lower())
    if match := _SEASON_YEAR.search(text):
        return _days(int(match[2]), *_SEASONS[match[1].lower()], "season")
    if (match := _AGO.search(text)) and asked_on is not None:
        count = _COUNTS.get(match[1].lower()) or int(match[1])
        days = timedelta(days=count * _UNIT_DAYS[match[2].lower()])
        spare = max(timedelta(days=8), days / 4)
        return asked_on - days - spare, asked_on - days + spare
    return None, None


def _days(year: int, first: int, last: int, part: str) -> tuple[date | None, date | None]:
    """Return the first and last day of these months, or of a part of one, and what is left open before and after."""
    if not 1 <= year - 1 < year + 1 <= 9999:
        return None, None
    low, high, spare = _PARTS[part]
    end = monthrange(year, last)[1]
    days = timedelta(days=spare)
    return date(year, first, low) - days, date(year, last, min(high, end)) + days


def mail_words(email: Email) -> frozenset[str]:
    """Return the words of a mail: subject, people, text."""
    people = " ".join(f"{one.name} {one.email}" for one in (email.sender, *email.recipients))
    return frozenset(words(f"{email.subject} {people} {email.body}"))


def _repeats(inbox: Inbox, number: int, gold: Email) -> bool:
    """Whether a mail is a copy of the gold mail, or quotes it."""
    stored = inbox.read(number, as_of=None)
    start = " ".join(words(gold.body)[:_QUOTED_WORDS])
    return stored is not None and bool(start) and f" {start} " in f" {' '.join(words(stored.email.body))} "
