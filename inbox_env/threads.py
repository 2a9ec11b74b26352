"""Groups the mails of an inbox into threads: by References and In-Reply-To, then by subject and participants.

A reply that names no other mail (its subject begins with "Re:" or the like) joins the latest earlier mail of the same
subject, within `MAX_GAP_DAYS`, whose sender it is addressed to or whose people include its own sender. So a daily
report never becomes one thread. The order in which mails are added changes nothing but their positions.

Pure: knows nothing of stores. Memory: about 100 bytes a mail, whatever the mails say.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

import numpy as np
import numpy.typing as npt

from inbox_env.subjects import base_subject

MAX_GAP_DAYS = 30
MAX_IDS = 12  # of the mails that one mail names: the first and the last ones
MAX_PEOPLE = 64
_MAX_GAP_US = MAX_GAP_DAYS * 86_400_000_000
_NO_DATE = -(1 << 63)
_NO_SUBJECT = 0


class ThreadFinder:
    """Takes the mails of one inbox in any order; then says which belong together."""

    def __init__(self) -> None:
        self._ids = array("q")  # of the mail, its copies and the mails that it names; all of one mail in a row
        self._ids_end = array("q")
        self._people = array("I")  # the sender first
        self._people_end = array("q")
        self._subjects = array("q")
        self._sent = array("q")
        self._asks_subject = array("b")

    def add(
        self,
        message_id: str,
        in_reply_to: str | None,
        references: Sequence[str],
        subject: str,
        people: Iterable[str],
        sent_us: int | None = None,
        aliases: Sequence[str] = (),
    ) -> None:
        """Take in the next mail; `people` are the addresses of the sender, first, and the recipients.

        `sent_us` is the date in microseconds since 1970; without it the mail is not joined by subject. `aliases` are
        further Message-IDs of the same mail.
        """
        named = [*references[:1], *references[1:][-(MAX_IDS - 2) :], *([in_reply_to] if in_reply_to else [])]
        self._ids.extend(map(_hash, dict.fromkeys((message_id, *named, *aliases[:MAX_IDS]))))
        self._ids_end.append(len(self._ids))
        base, is_reply = base_subject(subject)
        self._subjects.append(_hash(base) if base else _NO_SUBJECT)
        self._asks_subject.append(is_reply and not named)
        written = list(islice(people, MAX_PEOPLE))
        if written and written[0]:  # else nobody is known to have sent it
            self._people.extend(_hash_of_person(person) for person in written if person)
        self._people_end.append(len(self._people))
        self._sent.append(_NO_DATE if sent_us is None else sent_us)

    def threads(self) -> list[int]:
        """Return, for each mail in the order added, the position of the first mail of its thread."""
        num_mails = len(self._sent)
        forest = _Forest(num_mails)
        for one, other in self._linked_by_id():
            forest.join(one, other)
        for one, other in self._linked_by_subject():
            forest.join(one, other)
        return [forest.root(mail) for mail in range(num_mails)]

    def _linked_by_id(self) -> Iterator[tuple[int, int]]:
        """Pairs of mails that have or name one id: each with the next one that does."""
        ids = np.frombuffer(self._ids, dtype=np.int64) if self._ids else np.empty(0, np.int64)
        ends = np.frombuffer(self._ids_end, dtype=np.int64) if self._ids_end else np.empty(0, np.int64)
        order = np.argsort(ids, kind="stable")
        is_same = ids[order[1:]] == ids[order[:-1]]
        first = np.searchsorted(ends, order[:-1][is_same], side="right")
        second = np.searchsorted(ends, order[1:][is_same], side="right")
        return _pairs(first, second)

    def _linked_by_subject(self) -> Iterator[tuple[int, int]]:
        if not any(self._asks_subject):
            return
        subjects = np.frombuffer(self._subjects, dtype=np.int64)
        sent = np.frombuffer(self._sent, dtype=np.int64)
        asks = np.frombuffer(self._asks_subject, dtype=np.int8).astype(bool)
        is_usable = np.isin(subjects, np.unique(subjects[asks])) & (subjects != _NO_SUBJECT) & (sent != _NO_DATE)
        chosen = np.flatnonzero(is_usable)
        first_ids = np.frombuffer(self._ids, dtype=np.int64)[np.concatenate(([0], self._ids_end[:-1]))][chosen]
        chosen = chosen[np.lexsort((first_ids, sent[chosen], subjects[chosen]))]
        group: _SameSubject | None = None
        for mail in chosen.tolist():
            if group is None or group.subject != self._subjects[mail]:
                group = _SameSubject(self._subjects[mail])
            earlier = group.add(mail, self._people_of(mail), is_asked=bool(self._asks_subject[mail]))
            if earlier is not None and self._sent[mail] - self._sent[earlier] <= _MAX_GAP_US:
                yield earlier, mail

    def _people_of(self, mail: int) -> Sequence[int]:
        return self._people[self._people_end[mail - 1] if mail else 0 : self._people_end[mail]]


class _SameSubject:
    """Mails of one subject in order of date: who wrote and who was written to last."""

    def __init__(self, subject: int) -> None:
        self.subject = subject
        self._place_of_mail: list[int] = []
        self._last_by_sender: dict[int, int] = {}
        self._last_by_person: dict[int, int] = {}

    def add(self, mail: int, people: Sequence[int], *, is_asked: bool) -> int | None:
        """Take in the next mail; return the latest earlier one that it may answer, if asked."""
        if not people:
            return None
        place, found = len(self._place_of_mail), -1
        if is_asked:
            found = max(
                self._last_by_person.get(people[0], -1),
                *(self._last_by_sender.get(person, -1) for person in people),
            )
        self._place_of_mail.append(mail)
        self._last_by_sender[people[0]] = place
        self._last_by_person.update(dict.fromkeys(people, place))
        return self._place_of_mail[found] if found >= 0 else None


class _Forest:
    """Union-find over positions; the root of a tree is its smallest position."""

    def __init__(self, size: int) -> None:
        self._parent = array("q", range(size))

    def root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, one: int, other: int) -> None:
        one, other = self.root(one), self.root(other)
        self._parent[max(one, other)] = min(one, other)


@lru_cache(maxsize=8_192)  # the same few people write and are written to in an inbox
def _hash_of_person(address: str) -> int:
    return _hash(address.lower()) & 0xFFFFFFFF


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little", signed=True)


def _pairs(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    step = 65_536  # as Python numbers only a part at a time
    for start in range(0, len(first), step):
        yield from zip(first[start : start + step].tolist(), second[start : start + step].tolist(), strict=True)
