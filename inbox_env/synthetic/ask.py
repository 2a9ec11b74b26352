"""Words questions about a world's facts, and about facts that nobody told. Pure and seeded.

Kinds: single (one mail answers), distractor (a later mail corrects an earlier one), multi (two mails together
answer), unanswerable (near misses: the topic is there, the asked fact is not).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from inbox_env.emails import Address
from inbox_env.questions import Kind, Question
from inbox_env.synthetic.kinds import KINDS, FactKind
from inbox_env.synthetic.phrases import ASIDES
from inbox_env.synthetic.world import PERIOD_DAYS, START, Fact, World

UNANSWERABLE_RATE = 0.15
MULTI_RATE = 0.07
_ASIDE_RATE = 0.3
_LAST_DAY = (START + timedelta(days=PERIOD_DAYS + 40)).date()


@dataclass(frozen=True, slots=True)
class _Told:
    """A fact, the mail that tells it, and the mail that corrects it or is corrected by it."""

    fact: Fact
    message_id: str


class Asker:
    """Draws questions of one inbox."""

    def __init__(self, inbox: str, split: str, world: World, told: dict[Fact, str], random: Random) -> None:
        self._inbox, self._split, self._world, self._random = inbox, split, world, random
        self._told = [_Told(fact, message_id) for fact, message_id in told.items()]
        self._by_slot: dict[tuple[str, str, str], list[_Told]] = {}
        self._by_topic_kind: dict[tuple[str, str], list[list[_Told]]] = {}
        for item in self._told:
            self._by_slot.setdefault(_slot(item.fact), []).append(item)
        for slot, items in self._by_slot.items():
            self._by_topic_kind.setdefault(slot[:2], []).append(items)
        self._pairs = [
            slots
            for slots in self._by_topic_kind.values()
            if len(slots) == 2 and all(len(items) == 1 for items in slots) and _values_differ(slots)
        ]

    def ask(self, number: int) -> Question:
        """Return question `number`; kinds are drawn at the documented rates."""
        draw = self._random.random()
        if draw < UNANSWERABLE_RATE:
            return self._unanswerable(number)
        if draw < UNANSWERABLE_RATE + MULTI_RATE and self._pairs:
            return self._multi(number)
        item = self._random.choice(self._told)
        return self._about(number, item, self._by_slot[_slot(item.fact)])

    def _about(self, number: int, item: _Told, siblings: list[_Told]) -> Question:
        fact = item.fact
        ask = self._random.choice(fact.kind.asks)
        kind: Kind = "single"
        if len(siblings) > 1:
            kind = "distractor"
            ask = f"{ask} I mean the latest word." if fact.corrects else f"{ask} I mean before it changed."
        last = max(sibling.fact.sent for sibling in siblings).date()
        return self._question(
            number, kind, self._fill(ask, fact.topic, fact.sender), fact.value, (item.message_id,), last
        )

    def _multi(self, number: int) -> Question:
        first, second = (items[0] for items in self._random.choice(self._pairs))
        ask = self._random.choice(first.fact.kind.asks).replace("{sender}", "{sender} and {second}")
        text = self._fill(ask, first.fact.topic, first.fact.sender, second.fact.sender)
        last = max(first.fact.sent, second.fact.sent).date()
        answer = f"{first.fact.value} and {second.fact.value}"
        return self._question(number, "multi", text, answer, (first.message_id, second.message_id), last)

    def _unanswerable(self, number: int) -> Question:
        kind, topic, sender = self._missing()
        text = self._fill(self._random.choice(kind.asks), topic, sender)
        like = self._random.choice(self._told).fact.sent.date()  # else the day would tell what cannot be answered
        return self._question(number, "unanswerable", text, None, (), like)

    def _missing(self) -> tuple[FactKind, str, Address]:
        while True:
            kind = self._random.choice(KINDS)
            sender = self._random.choice(self._world.people)
            topic = ""
            if kind.topic != "nobody":
                is_absent = self._random.random() < 0.3
                topic = self._random.choice(
                    (self._world.absent_topics if is_absent else self._world.topics)[kind.topic]
                )
                sender = self._random.choice(self._world.circles.get(topic, self._world.people))
            if (topic, kind.name, sender.email) not in self._by_slot:
                return kind, topic, sender

    def _fill(self, ask: str, topic: str, sender: Address, second: Address | None = None) -> str:
        names = {"topic": topic, "sender": self._call(sender), "second": self._call(second or sender)}
        text = ask.format(**names)
        if self._random.random() < _ASIDE_RATE:
            other = self._random.choice([person for person in self._world.people if person not in (sender, second)])
            text = self._random.choice(ASIDES).format(other=self._call(other), ask=text)
        return text

    def _call(self, person: Address) -> str:
        return person.name if self._random.random() < 0.6 else person.name.split()[-1]

    def _question(
        self, number: int, kind: Kind, text: str, answer: str | None, ids: tuple[str, ...], last: date
    ) -> Question:
        earliest = last + timedelta(days=1)
        asked_on = earliest + timedelta(days=self._random.randrange(max(1, (_LAST_DAY - earliest).days)))
        return Question(
            id=f"{self._inbox}-{number:04d}",
            inbox=self._inbox,
            inbox_address=self._world.owner.email,
            question=text,
            answer=answer,
            message_ids=ids,
            answerable=answer is not None,
            kind=kind,
            asked_on=asked_on,
            split=self._split,
        )


def _values_differ(slots: list[list[_Told]]) -> bool:
    """Whether two people told different things: "5 May and 5 May" is no answer."""
    return len({item.fact.value for items in slots for item in items}) > 1


def _slot(fact: Fact) -> tuple[str, str, str]:
    return (fact.topic, fact.kind.name, fact.sender.email)
