"""Makes large invented mailboxes for the benchmarks of search and reading, and keeps them in a cache folder.

Mails have bodies of log-normal length with words of a Zipf distribution; inboxes are of unequal size. The same
numbers give the same mails. Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np

from inbox_env.database import SCHEMA_VERSION
from inbox_env.emails import Address, Email
from inbox_env.store import EmailStore, InboxInfo, StoredEmail, build_inbox

VOCABULARY_SIZE = 60_000
MEDIAN_WORDS, SPREAD, MAX_WORDS = 80, 1.0, 4_000
_ONSETS = "b bl c ch d dr f g gr h j k l m n p pr qu r s st t tr v w z".split()
_SYLLABLES = [onset + vowel + coda for onset, vowel, coda in product(_ONSETS, "aeiou", ("", "n", "r", "l", "s", "t"))]
_START = datetime(1999, 1, 4, tzinfo=UTC)
_SPAN_SECONDS = 4 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class MailboxSize:
    """How many mails in how many inboxes."""

    num_mails: int
    num_inboxes: int


class MailWriter:
    """Writes the mails of any inbox of a mailbox of one size."""

    def __init__(self, size: MailboxSize) -> None:
        self._size = size
        random = np.random.default_rng(0)
        ranks = np.arange(VOCABULARY_SIZE)
        self._words = np.array(_vocabulary(random), dtype=object)
        self._cumulated = np.cumsum(1.0 / (ranks + 2.7) ** 1.07)
        self._cumulated /= self._cumulated[-1]
        weights = random.lognormal(0.0, 0.8, size.num_inboxes)
        self._ends = np.round(np.cumsum(weights) / weights.sum() * size.num_mails).astype(int)

    def owner(self, inbox: int) -> Address:
        """Return whose inbox it is."""
        return Address(f"Owner{inbox:03d}", f"owner{inbox:03d}@example.org")

    def mails(self, inbox: int) -> Iterator[Email]:
        """Yield the mails of one inbox; no two have the same second."""
        random = np.random.default_rng((1, self._size.num_mails, inbox))
        count = int(self._ends[inbox] - (self._ends[inbox - 1] if inbox else 0))
        seconds = np.sort(random.choice(_SPAN_SECONDS, count, replace=False))
        lengths = np.clip(random.lognormal(np.log(MEDIAN_WORDS), SPREAD, count), 3, MAX_WORDS).astype(int)
        people = [Address(f"Person{n:04d}", f"person{n:04d}@example.org") for n in random.integers(0, 5000, 120)]
        known = np.minimum(random.zipf(1.4, (count, 3)) - 1, len(people) - 1)
        owner = self.owner(inbox)
        for place in range(count):
            others = [people[number] for number in known[place]]
            sender, to = (owner, others[0]) if place % 4 == 0 else (others[0], owner)
            text = self._text(random, int(lengths[place]) + 6)
            yield Email(
                message_id=f"<{inbox}.{place}@example.org>",
                date=_START + timedelta(seconds=int(seconds[place])),
                sender=sender,
                to=(to,),
                cc=tuple(dict.fromkeys(others[1:])) if place % 3 == 0 else (),
                subject=" ".join(text[:6]),
                body=_lines(text[6:]),
            )

    def _text(self, random: np.random.Generator, count: int) -> list[str]:
        picked: list[str] = self._words[np.searchsorted(self._cumulated, random.random(count))].tolist()
        return picked


def ensure_mailbox(size: MailboxSize, cache: Path) -> Path:
    """Return a mailbox of this size, made unless the cache has it."""
    path = cache / f"mails-{size.num_mails}-{size.num_inboxes}-v{SCHEMA_VERSION}.db"

    def build(partial: Path) -> None:
        writer = MailWriter(size)
        for inbox in range(size.num_inboxes):
            build_inbox(partial, f"inbox{inbox:03d}", writer.mails(inbox), owner=writer.owner(inbox))

    return ensure(path, build)


def ensure_subset(mailbox: Path, inboxes: list[str], cache: Path) -> Path:
    """Return a mailbox that holds only these inboxes of another one."""

    def build(partial: Path) -> None:
        store = EmailStore.open(mailbox)
        for name in inboxes:
            mails = (stored.email for stored in store.emails(name))
            build_inbox(partial, name, mails, owner=store.info(name).owner)
        store.close()

    return ensure(cache / f"{mailbox.stem}-first-{len(inboxes)}.db", build)


def ensure(path: Path, build: Callable[[Path], None]) -> Path:
    """Return `path`, built beside and renamed unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)  # of a killed run with this process id
        build(partial)
        partial.rename(path)
    return path


def all_mails(mailbox: Path) -> Iterator[tuple[InboxInfo, StoredEmail]]:
    """Yield every mail of a mailbox with its inbox."""
    store = EmailStore.open(mailbox)
    for info in store.inboxes():
        for stored in store.emails(info.name):
            yield info, stored
    store.close()


def size_in_mb(path: Path) -> float:
    """Return the bytes of a file, or of all files of a folder, in MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def _vocabulary(random: np.random.Generator) -> list[str]:
    """Return distinct words by rank: one syllable for the commonest, three for the rarest."""
    short = [word for word in _SYLLABLES if len(word) > 2]
    pairs = [first + second for first in _SYLLABLES for second in _SYLLABLES[:: len(_SYLLABLES) // 60]]
    picks = random.integers(0, len(_SYLLABLES), (2 * VOCABULARY_SIZE, 3))
    triples = ["".join(_SYLLABLES[number] for number in row) for row in picks]
    ordered = [short[n] for n in random.permutation(len(short))[:300]]
    ordered += [pairs[n] for n in random.permutation(len(pairs))[:12_000]] + triples
    return list(dict.fromkeys(ordered))[:VOCABULARY_SIZE]


def _lines(text: list[str]) -> str:
    return "\n".join(" ".join(text[start : start + 12]) for start in range(0, len(text), 12))
