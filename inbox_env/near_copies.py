"""Finds near-copies among sets of words: two that share at least four fifths of what either has.

Minhash finds the candidates (Broder 1997: the chance of an equal minimum is the Jaccard similarity), the sets decide.
Pure; knows nothing of mails and questions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from zlib import crc32

import numpy as np
import numpy.typing as npt

MIN_SIMILARITY = 0.8
SHINGLE_WORDS = 5
MAX_WORDS = 600  # of a text that are looked at
_BANDS, _ROWS = 10, 2  # a pair at .8 is overlooked once in 27,000 times: (1 - .8 ** 2) ** 10
_PRIME = np.uint64((1 << 61) - 1)


class NearCopies:
    """Sets by name; says which earlier names are near-copies of a new set."""

    def __init__(self) -> None:
        self._sets: dict[str, frozenset[int]] = {}
        self._buckets: dict[tuple[int, int, int], list[str]] = {}
        draw = np.random.default_rng(1)
        self._factors = draw.integers(1, 1 << 31, (_BANDS * _ROWS, 1), dtype=np.uint64)
        self._offsets = draw.integers(0, 1 << 31, (_BANDS * _ROWS, 1), dtype=np.uint64)

    def add(self, name: str, members: Collection[str]) -> list[str]:
        """Return the earlier names whose sets are nearly this one, then keep it; an empty set is like no other."""
        hashes = frozenset(crc32(member.encode("utf-8", "surrogatepass")) for member in members)
        if not hashes:
            return []
        keys = list(self._keys(hashes))
        near = dict.fromkeys(one for key in keys for one in self._buckets.get(key, ()))
        found = [one for one in near if _similarity(self._sets[one], hashes) >= MIN_SIMILARITY]
        self._sets[name] = hashes
        for key in keys:
            self._buckets.setdefault(key, []).append(name)
        return found

    def _keys(self, hashes: frozenset[int]) -> Iterator[tuple[int, int, int]]:
        values: npt.NDArray[np.uint64] = np.fromiter(hashes, np.uint64, len(hashes))
        least = ((self._factors * values + self._offsets) % _PRIME).min(axis=1).tolist()
        for band in range(_BANDS):
            yield band, least[band * _ROWS], least[band * _ROWS + 1]


def shingles(words: list[str]) -> set[str]:
    """Return the runs of five words of a text, or the text when it is shorter."""
    words = words[:MAX_WORDS]
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in starts} - {""}


def _similarity(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
