"""How a known-item question is said: by whom, about what, roughly when. Pure and seeded.

A time is never exact: a month, a season, or how long ago; with it goes the range of days that it may mean.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from inbox_env.known_items.synonyms import british, synonym
from inbox_env.known_items.topics import TermCounts, Topic
from inbox_env.known_items.words import plural, singular
from inbox_env.search.folding import words

_UNTIMED_RATE = 0.2
_DROP_RATE = 0.33
_SYNONYM_RATE = 0.6
_FORM_RATE = 0.6
_MIN_USED = 0.5  # times the mails with a word: else people say its other number for something else ("trusts")
_MIN_USED_ONE = 1.0  # the same for the singular of a plural: "derivatives" are not "the derivative"
_ONE_NUMBER = re.compile(
    r"(?:ity|ities|ness|age|ance|ence|ics|ing|news)$"
)  # "security" and "securities" are two things
_PARTS = ((1, 10, "early in "), (11, 20, "in the middle of "), (21, 31, "towards the end of "))
_SEASONS = {3: "spring", 4: "spring", 5: "spring", 6: "summer", 7: "summer", 8: "summer", 9: "autumn", 10: "autumn",
            11: "autumn"}  # fmt: skip
_SEASON_MONTHS = {"spring": (3, 5), "summer": (6, 8), "autumn": (9, 11)}


@dataclass(frozen=True, slots=True)
class When:
    """A rough time in words ("" for none) and the days that it may mean, both inclusive."""

    text: str
    first: date | None = None
    last: date | None = None


def draw_when(sent: date, asked_on: date, random: Random) -> When:
    """Return a rough time of a mail sent on `sent`, as said on `asked_on`; a fifth of the time none."""
    if random.random() < _UNTIMED_RATE:
        return When("")
    makers = (_month, _month, _around, _part, _season, _ago)
    return random.choice(makers)(sent, asked_on)


def drop_words(topic: Topic, random: Random) -> Topic:
    """Return the topic, or (a third of the time) only its last noun: "the lease" of "the storage lease"."""
    noun = topic.text.split()[-1]
    is_plain = topic.text.startswith("the ") and topic.text.islower()  # "the Houston partnership" is not any
    if len(topic.words) < 2 or not is_plain or random.random() >= _DROP_RATE:
        return topic
    return replace(topic, text=f"the {noun}", words=tuple(words(noun)))


def blur(topic: Topic, counts: TermCounts, held: Container[str], random: Random, *, is_sure: bool = False) -> str:
    """Return the topic as somebody says it who does not remember the words: often other ones, never those in `held`.

    `held` are the words of the mail. With `is_sure` it is said so wherever it can be.
    """
    said = topic.text.split()
    last = said[-1]
    if not topic.text.islower():
        return topic.text  # part of a name: "the Manti company" is no firm
    other = synonym(last) or british(last)
    if other and (is_sure or random.random() < _SYNONYM_RATE) and not any(part in held for part in words(other)):
        said[-1] = other
    elif not _ONE_NUMBER.search(last) and (is_sure or random.random() < _FORM_RATE):
        used = {plural(last): _MIN_USED, singular(last): _MIN_USED_ONE}
        forms = (form for form in used if form != last and form not in held)
        said[-1] = next((one for one in forms if counts.num_with(one) >= used[one] * counts.num_with(last)), last)
    return " ".join(said)


def ask(template: str, topic: str, when: When, **names: str) -> str:
    """Return the question; `names` are `who`, and `other` or `noun` where the template has them."""
    if not when.text:
        template = template.replace(" It came {when}.", "").replace(" It must have been {when}.", "")
        template = template.replace(" {when}", "")
    return template.format(topic=topic, when=when.text, **names)


def asked_words(text: str) -> list[str]:
    """Return the words of a topic that can be searched."""
    return [word for word in words(text) if word not in ("the", "and")]


def draw_asked_on(sent: date, last_day: date, random: Random) -> date | None:
    """Return a day 1 to 400 days after `sent` and not after `last_day`; None when there is none."""
    most = min(400, (last_day - sent).days)
    return sent + timedelta(days=random.randint(1, most)) if most >= 1 else None


def _month(sent: date, _: date) -> When:
    return _days(f"in {sent:%B %Y}", *_month_of(sent), spare=3)


def _around(sent: date, _: date) -> When:
    return _days(f"around {sent:%B %Y}", *_month_of(sent), spare=20)


def _part(sent: date, _: date) -> When:
    first, last, said = next(part for part in _PARTS if part[0] <= sent.day <= part[1])
    end = min(last, monthrange(sent.year, sent.month)[1])
    return _days(f"{said}{sent:%B %Y}", sent.replace(day=first), sent.replace(day=end), spare=6)


def _season(sent: date, asked_on: date) -> When:
    season = _SEASONS.get(sent.month)
    if season is None:
        return _month(sent, asked_on)
    first, last = _SEASON_MONTHS[season]
    end = date(sent.year, last, monthrange(sent.year, last)[1])
    return _days(f"in the {season} of {sent.year}", date(sent.year, first, 1), end, spare=10)


def _ago(sent: date, asked_on: date) -> When:
    days = (asked_on - sent).days
    if days < 11:
        said = "a few days ago"
    elif days < 25:
        said = "two or three weeks ago"
    elif days < 46:
        said = "about a month ago"
    else:
        said = f"about {round(days / 30.4)} months ago"
    return _days(said, sent, sent, spare=max(8, days // 4))


def _month_of(day: date) -> tuple[date, date]:
    return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


def _days(text: str, first: date, last: date, *, spare: int) -> When:
    return When(text, first - timedelta(days=spare), last + timedelta(days=spare))
