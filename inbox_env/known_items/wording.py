"""How a known-item question is said: by whom, about what, roughly when. Pure and seeded.

A time is never exact: a month, a season, or how long ago; with it goes the range of days that it may mean.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from inbox_env.known_items.topics import TermCounts, Topic
from inbox_env.known_items.words import EVERYDAY, plural, singular
from inbox_env.search.folding import words

_UNTIMED_RATE = 0.2
_BLUR_RATE = 0.4
_PARTS = ((1, 10, "early in "), (11, 20, "in the middle of "), (21, 31, "towards the end of "))
_SEASONS = {3: "spring", 4: "spring", 5: "spring", 6: "summer", 7: "summer", 8: "summer", 9: "autumn", 10: "autumn",
            11: "autumn"}  # fmt: skip
_SEASON_MONTHS = {"spring": (3, 5), "summer": (6, 8), "autumn": (9, 11)}

RECEIVED = (
    "What did {who} write about {topic} {when}?",
    "What did {who} tell me about {topic} {when}?",
    "What did {who} say about {topic} {when}?",
    "Where is the mail in which {who} mentions {topic}? It came {when}.",
    "{who} sent me something about {topic} {when}. Which mail was it?",
    "Find the message that {who} sent me {when} about {topic}.",
    "I need the note that {who} wrote about {topic} {when}.",
    "Which mail did I get from {who} about {topic} {when}?",
    "I am looking for what {who} had to say on {topic} {when}.",
)
SENT = (
    "What did I write to {who} about {topic} {when}?",
    "What did I tell {who} about {topic} {when}?",
    "Where is the mail I sent to {who} about {topic}? It must have been {when}.",
    "Find the message that I sent to {who} {when} about {topic}.",
    "I need the note that I wrote to {who} about {topic} {when}.",
    "Which mail did I send to {who} about {topic} {when}?",
)


@dataclass(frozen=True, slots=True)
class When:
    """A rough time in words ("" for none) and the days that it may mean, both inclusive."""

    text: str
    first: date | None = None
    last: date | None = None


def draw_name(person: str, random: Random) -> str:
    """Return the whole name, the first or the last."""
    first, *_, last = person.split()
    return random.choices((person, first, last), weights=(60, 25, 15))[0]


def draw_when(sent: date, asked_on: date, random: Random) -> When:
    """Return a rough time of a mail sent on `sent`, as said on `asked_on`; a fifth of the time none."""
    if random.random() < _UNTIMED_RATE:
        return When("")
    makers = (_month, _month, _around, _part, _season, _ago)
    return random.choice(makers)(sent, asked_on)


def blur(topic: Topic, counts: TermCounts, random: Random) -> str:
    """Return the topic as somebody says it who does not remember the words: often the same, or nearly."""
    said = topic.text.split()
    last = said[-1]
    if last.islower() and random.random() < _BLUR_RATE:
        others = [EVERYDAY.get(last, ""), *(form(last) for form in (plural, singular))]
        known = [word for word in others if word not in ("", last) and (counts.num_with(word) or word in EVERYDAY)]
        said[-1] = random.choice(known[:2]) if known else last
    return " ".join(said)


def ask(who: str, topic: str, when: When, is_by_owner: bool, random: Random) -> str:
    """Return the question."""
    templates = SENT if is_by_owner else RECEIVED
    text = random.choice(templates)
    if not when.text:
        text = text.replace(" It came {when}.", "").replace(" It must have been {when}.", "")
        text = text.replace(" {when}", "")
    return text.format(who=who, topic=topic, when=when.text)


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
