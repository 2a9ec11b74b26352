"""Looks for very many short pieces of text in files of any size, each byte of which is read once for a batch of them.

A piece has `PIECE_BYTES` bytes; wherever it lies, it covers one of the file's aligned words of half that size whole.
So the words are looked up in a set of all words of all pieces, and the pieces only where one is met. Knows nothing of
mail or databases.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PIECE_BYTES = 16
_WORD_BYTES = 8
_CHUNK_BYTES = 1 << 22
_BATCH = 100_000  # pieces, at some 600 bytes each with their words


def found_in_files(pieces: set[bytes], paths: Iterable[Path]) -> set[bytes]:
    """Return which of the pieces are in any of the files; a file that is not there holds none."""
    paths = [path for path in paths if path.is_file()]
    return {piece for batch in _batches(pieces) for path in paths for piece in _found(batch, _chunks_of(path))}


def found_in_texts(pieces: set[bytes], texts: Iterable[bytes]) -> set[bytes]:
    """Return which of the pieces are in any of the texts."""
    return _found(pieces, _joined(texts)) if pieces else set()


def _batches(pieces: set[bytes]) -> Iterator[set[bytes]]:
    ordered = list(pieces)
    for start in range(0, len(ordered), _BATCH):
        yield set(ordered[start : start + _BATCH])


def _found(pieces: set[bytes], chunks: Iterable[bytes]) -> set[bytes]:
    words = {
        int.from_bytes(piece[start : start + _WORD_BYTES], sys.byteorder)
        for piece in pieces
        for start in range(PIECE_BYTES - _WORD_BYTES + 1)
    }
    found: set[bytes] = set()
    for window in _windows(chunks):
        aligned = memoryview(window)[: len(window) // _WORD_BYTES * _WORD_BYTES].cast("@Q")
        for place in [place for place, word in enumerate(aligned) if word in words]:
            end = place * _WORD_BYTES + _WORD_BYTES
            starts = range(max(0, end - PIECE_BYTES), end - _WORD_BYTES + 1)
            found.update(pieces.intersection(window[start : start + PIECE_BYTES] for start in starts))
    return found


def _windows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes so that no piece is cut; filled up, so that the last word is whole."""
    tail = b""
    for chunk in chunks:
        window = tail + chunk
        yield window + b"\0" * (-len(window) % _WORD_BYTES)
        tail = window[-PIECE_BYTES:]


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _joined(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the texts in chunks, apart from each other, and none cut into two."""
    waiting: list[bytes] = []
    num_bytes = 0
    for text in texts:
        waiting += (text, b"\0" * PIECE_BYTES)
        num_bytes += len(text)
        if num_bytes >= _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, num_bytes = [], 0
    yield b"".join(waiting)
