"""Invented names of people, projects, towns and places, and the split each name belongs to.

A name's split follows from a hash of its lower-case letters, so names of different splits are disjoint
whatever the seeds are. Knows nothing of mails or questions.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Literal

from inbox_env.errors import UsageError

Split = Literal["train", "dev", "test", "vocabulary"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test", "vocabulary")

_MAX_DRAWS = 10_000
_ONSETS = "B Br C D Dr F Fr G Gl H J K Kl L M N P Pr R S Sh St T Th Tr V W Z".split()
_VOWELS = "a e i o u".split()
_CODAS = "l n r s m t k nd rn lk".split()
# A name is one opening and one ending. Both are few and common, their pairs many and rare: a small model meets every
# piece often and hardly any name twice.
OPENINGS = [onset + vowel + coda for onset in _ONSETS for vowel in _VOWELS for coda in _CODAS][::4]
ENDINGS: dict[str, tuple[str, ...]] = {
    "given": ("a", "o", "ie", "an", "is", "us", "el", "in", "ara", "ene", "ette", "ias"),
    "surname": tuple(
        f"{onset}{vowel}{coda}" for onset in "bdfgklmpstvw" for vowel in "aeo" for coda in ("n", "rd", "ck", "s")
    ),
    "project": tuple(
        f"{onset}{vowel}{coda}" for onset in "bcdglmnprtvz" for vowel in "aiu" for coda in ("x", "m", "ra", "no")
    ),
    "town": ("ford", "bury", "haven", "stad", "ville", "mouth", "berg", "ton", "minster", "field", "port", "dale"),
    "place": ("ello", "ano", "ova", "ieri", "ina", "ora", "aya", "ino", "osa", "etti", "omo", "une"),
}


def split_of(name: str) -> Split:
    """Return the only split in which this name may occur."""
    bucket = hashlib.sha256(name.lower().encode()).digest()[0] % 10
    return "train" if bucket < 5 else "dev" if bucket < 6 else "test" if bucket < 8 else "vocabulary"


class NamePool:
    """Draws names that are new to this pool and belong to its split."""

    def __init__(self, split: Split, random: Random) -> None:
        self._split, self._random = split, random
        self._used: set[str] = set()

    def invent(self, sort: str) -> str:
        """Return an unused capitalised word: a given name, surname, project, town or place."""
        for _ in range(_MAX_DRAWS):
            word = self._random.choice(OPENINGS) + self._random.choice(ENDINGS[sort])
            if word not in self._used and split_of(word) == self._split:
                self._used.add(word)
                return word
        raise UsageError(33, f"no {sort} name is left in split {self._split}", next_step="make a smaller inbox")
