"""The facts behind an invented inbox: who told the owner what about which topic, and when.

Pure and seeded; knows nothing of how mails or questions are worded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from inbox_env.emails import Address
from inbox_env.synthetic.kinds import KINDS, FactKind
from inbox_env.synthetic.names import NamePool, Split
from inbox_env.synthetic.values import invent_value

START = datetime(2001, 1, 8, 8, tzinfo=UTC)
PERIOD_DAYS = 700
_FACTS_PER_TOPIC = (3, 6)
_TWIN_RATE = 0.45
_CORRECTION_RATE = 0.25
_SENDERS_PER_TOPIC = 3


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that `sender` wrote; `corrects` is the earlier value when this is a correction."""

    kind: FactKind
    topic: str
    sender: Address
    value: str
    sent: datetime
    corrects: str | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything one inbox is about. `absent_topics` are names that no mail mentions."""

    owner: Address
    people: tuple[Address, ...]
    topics: dict[str, tuple[str, ...]]  # topic sort -> names
    circles: dict[str, tuple[Address, ...]]  # topic -> the people who write about it
    facts: tuple[Fact, ...]
    absent_topics: dict[str, tuple[str, ...]]


def make_world(random: Random, split: Split, num_topics: int) -> World:
    """Return a world of `num_topics` topics, two thirds of them projects and one third towns."""
    pool = NamePool(split, random)
    domains = [f"{pool.invent('place').lower()}.com" for _ in range(6)]
    people = tuple(_person(pool, random, domains) for _ in range(max(8, num_topics * 2 // 3)))
    num_towns = num_topics // 3
    topics = {
        "project": tuple(pool.invent("project") for _ in range(num_topics - num_towns)),
        "town": tuple(pool.invent("town") for _ in range(num_towns)),
    }
    circles = {name: tuple(random.sample(people, _SENDERS_PER_TOPIC)) for names in topics.values() for name in names}
    facts = [
        fact
        for sort, names in topics.items()
        for name in names
        for fact in _topic_facts(pool, random, sort, name, circles[name])
    ]
    facts += [fact for person in people for fact in _personal_facts(random, person)]
    absent = {
        "project": tuple(pool.invent("project") for _ in range(12)),
        "town": tuple(pool.invent("town") for _ in range(8)),
    }
    return World(_person(pool, random, domains), people, topics, circles, tuple(facts), absent)


def _person(pool: NamePool, random: Random, domains: list[str]) -> Address:
    first, last = pool.invent("given"), pool.invent("surname")
    return Address(f"{first} {last}", f"{first}.{last}@{random.choice(domains)}".lower())


def _topic_facts(pool: NamePool, random: Random, sort: str, topic: str, circle: tuple[Address, ...]) -> list[Fact]:
    kinds = [kind for kind in KINDS if kind.topic == sort]
    facts: list[Fact] = []
    for kind in random.sample(kinds, min(len(kinds), random.randint(*_FACTS_PER_TOPIC))):
        tellers = random.sample(circle, 2 if random.random() < _TWIN_RATE else 1)
        for teller in tellers:
            facts += _told(pool, random, kind, topic, teller)
    return facts


def _personal_facts(random: Random, person: Address) -> list[Fact]:
    kinds = [kind for kind in KINDS if kind.topic == "nobody" and random.random() < 0.6]
    return [Fact(kind, "", person, invent_value(kind.value, random), _moment(random)) for kind in kinds]


def _told(pool: NamePool, random: Random, kind: FactKind, topic: str, sender: Address) -> list[Fact]:
    first = Fact(kind, topic, sender, _value(pool, random, kind), _moment(random))
    if not kind.corrections or random.random() > _CORRECTION_RATE:
        return [first]
    later = replace(
        first,
        value=_value(pool, random, kind),
        sent=first.sent + timedelta(days=random.randint(1, 12), hours=random.randint(1, 9)),
        corrects=first.value,
    )
    return [first, later] if later.value != first.value else [first]


def _value(pool: NamePool, random: Random, kind: FactKind) -> str:
    if kind.value == "person":
        return f"{pool.invent('given')} {pool.invent('surname')}"
    if kind.value == "hotel":
        return f"{random.choice(('Hotel', 'Villa', 'Pension'))} {pool.invent('place')}"
    if kind.value == "place":
        return f"{random.choice(('Cafe', 'Trattoria', 'Chez'))} {pool.invent('place')}"
    return invent_value(kind.value, random)


def _moment(random: Random) -> datetime:
    return START + timedelta(days=random.randrange(PERIOD_DAYS), minutes=random.randrange(600))
