"""Streams of bytes that are looked at before they are read, and that may not grow without end.

Knows nothing of mail.
"""

from __future__ import annotations

import io
from typing import Any, Protocol


class Readable(Protocol):
    """What is needed of a stream here."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...


class GrowthError(OSError):
    """A stream that gives more than it may."""


class _Joined(io.RawIOBase):
    """The bytes that were read already, then the rest of the stream."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class LineEnds:
    """A stream of text from an old Macintosh, its line ends made into "\\n"; as many bytes as before."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        return self._stream.read(size).replace(b"\r", b"\n")


class Capped:
    """A stream that may give so many bytes and not one more: raises GrowthError then."""

    def __init__(self, stream: Readable, num_bytes: int, reason: str) -> None:
        self._stream, self._left, self._reason = stream, num_bytes, reason

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise GrowthError(self._reason)
        return data


def peek(stream: Readable, num_bytes: int) -> tuple[bytes, io.BufferedReader]:
    """Return the first bytes of the stream and a reader of the whole stream, those bytes included."""
    head = b""
    while len(head) < num_bytes:
        more = stream.read(num_bytes - len(head))
        if not more:
            break
        head += more
    return head, io.BufferedReader(_Joined(head, stream), 1 << 18)
