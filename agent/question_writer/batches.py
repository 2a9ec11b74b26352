"""Mails in batches for a model to ask about: spread evenly over an inbox's time, each with what belongs to it.

ART-E asked about the oldest mails of an inbox. Here any number of batches, from the first on, covers its mail evenly
(a van der Corput sequence, moved by the seed). Deterministic by mailbox and seed. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from random import Random

from agent.question_writer.mails import Askable
from inbox_env.store import EmailStore, StoredEmail

BATCH_MAILS = 8
_MAX_OF_THREAD = 4  # with the mail that the batch is about
_MAX_OF_PERSON = 6
_MAX_DAYS = 400  # between the newest mail of a batch and the day its questions are asked on


@dataclass(frozen=True, slots=True)
class Batch:
    """Mails of one inbox, oldest first, and the day on which it is asked about them; `number` counts from 1."""

    number: int
    inbox: str
    mails: tuple[StoredEmail, ...]
    asked_on: date


class Batches:
    """The batches of one inbox, in the order in which they are to be asked about."""

    def __init__(self, store: EmailStore, inbox: str, mails: Sequence[Askable], seed: int) -> None:
        self._store, self._inbox, self._mails, self._seed = store, inbox, mails, seed
        self.num_mails = len(mails)
        self._place_of = {mail.number: place for place, mail in enumerate(mails)}
        self._places_of_person: dict[str, list[int]] = defaultdict(list)
        for place, mail in enumerate(mails):
            self._places_of_person[mail.person].append(place)

    def __iter__(self) -> Iterator[Batch]:
        """Yield as many batches as there are mails."""
        order = even_order(len(self._mails), Random(f"{self._seed}:{self._inbox}:order"))
        shown: Counter[int] = Counter()
        for number, place in enumerate(order, 1):
            places = sorted(self._members(place, shown))
            shown.update(places)
            yield self._batch(number, places)

    def _batch(self, number: int, places: Sequence[int]) -> Batch:
        read = (self._store.read(self._inbox, self._mails[one].number, None) for one in places)
        newest = max(self._mails[one].sent for one in places)
        return Batch(number, self._inbox, tuple(one for one in read if one is not None), self._asked_on(number, newest))

    def _members(self, place: int, shown: Counter[int]) -> set[int]:
        """Return the mail itself, its thread, mails with the same person, and its neighbours.

        The nearest come first, of person and neighbours those that were least often `shown` before.
        """
        numbers = self._store.thread(self._inbox, self._mails[place].number, None)
        thread = [self._place_of[number] for number in numbers if number in self._place_of]
        person = self._places_of_person[self._mails[place].person]
        size = min(BATCH_MAILS, len(self._mails))
        start = max(0, place - 2 * size)
        members = {place}
        neighbours = range(start, min(len(self._mails), place + 2 * size + 1))
        members.update(_nearest(thread, members, place, _MAX_OF_THREAD))
        for others, most in ((person, _MAX_OF_PERSON), (neighbours, size)):
            near = _nearest(others, members, place, 2 * BATCH_MAILS + len(members))
            members.update(sorted(near, key=lambda one: shown[one])[: max(0, most - len(members))])
        return members

    def _asked_on(self, number: int, newest: date) -> date:
        """Return a day from the newest mail on and not after the inbox's last."""
        most = min(_MAX_DAYS, (self._mails[-1].sent - newest).days)
        days = Random(f"{self._seed}:{self._inbox}:{number}:day").randint(min(1, most), most)
        return newest + timedelta(days=days)


def _nearest(others: Iterable[int], members: Set[int], place: int, size: int) -> list[int]:
    """Return the nearest to `place` that are not members yet, as many as fill these up to `size`."""
    ranked = sorted(set(others) - members, key=lambda one: (abs(one - place), one))
    return ranked[: max(0, size - len(members))]


def even_order(size: int, random: Random) -> Iterator[int]:
    """Yield each of 0 .. size-1 once, so that the first so many are always spread evenly over all."""
    shift = random.random()
    taken: set[int] = set()
    for number in count():
        if len(taken) == size:
            return
        place = int((_van_der_corput(number) + shift) % 1.0 * size)
        while place in taken:
            place = (place + 1) % size
        taken.add(place)
        yield place


def _van_der_corput(number: int) -> float:
    """Return the binary digits of `number` mirrored at the point: 0, 1/2, 1/4, 3/4, 1/8 .."""
    result, weight = 0.0, 0.5
    while number:
        result += weight * (number & 1)
        number >>= 1
        weight /= 2
    return result
