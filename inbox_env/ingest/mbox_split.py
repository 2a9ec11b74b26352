"""Where messages start and end in an mbox: streamed, memory bounded by the largest message kept.

A separator is a "From " line with a date, before a header. It stands after a blank line, or without one where the
header is surely a mail's. A Content-Length is believed where a separator or the end follows. Changes no bytes
but the line ends of an old Macintosh.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from inbox_env.ingest.dates import is_from_line
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES
from inbox_env.ingest.streams import LineEnds, Readable

CHUNK_BYTES = 1 << 20
LOOKAHEAD_BYTES = 4_096  # a From_ line and the start of the header after it
_LARGE_BYTES = 1 << 23
_WORD, _MARK = b"From ", b"\nFrom "
_MAX_LINE_BYTES = 1_000
_KNOWN = (
    rb"(?:(?:resent-)?(?:from|to|cc|bcc|sender|date|message-id)|subject|received(?:-spf)?|return-path|reply-to"
    rb"|delivered-to|mime-version|content-[a-z-]+|x-[!-9;-~]+|status|lines|in-reply-to|references|list-[a-z-]+"
    rb"|dkim-signature|domainkey-signature|arc-[a-z-]+|authentication-results|user-agent|precedence|newsgroups)"
)
_FIELD = rb"(?:[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*+)"
_START = rb"(?:>+From [^\n]*\n)*"
_CUT_FIELD = rb"[!-9;-~]+[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\Z"  # the window or the file ends in it
# Before the known field at most a few others: the search stays linear.
_OPENS_HEADER = re.compile(
    _START + rb"(?:\Z|" + _FIELD + rb"{0,20}?(?:" + _KNOWN + rb"[ \t]*:|" + _CUT_FIELD + rb"))", re.IGNORECASE
)
_OPENS_MAIL = re.compile(
    _START
    + (_FIELD + rb"{0,20}?" + _KNOWN + rb"[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*+")
    + (_FIELD + rb"{0,20}?" + _KNOWN + rb"[ \t]*:"),
    re.IGNORECASE,
)
_USUAL = re.compile(  # most separators by far: decided in one match
    rb"From [^\s]+ (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:19|20)\d\d\r?\n"
    + (_KNOWN + rb":"),
    re.IGNORECASE,
)
_JUNK = re.compile(rb"\A(?:\xef\xbb\xbf|\x00|\s)*+(?=From )")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LENGTH_SIGN = b"ength:"  # without it no mail so far has a Content-Length: one search instead of one for each mail
_HEADER_END = re.compile(rb"\n\r?\n")
_AFTER_BLANK = (b"\n\n", b"\n\r\n", b"\0")
_GAP = re.compile(rb"(?:\r?\n){0,2}")


class Piece(NamedTuple):
    """Bytes from one separator to the next; `is_prefix`: what precedes the first separator.

    `is_cut`: they were too many to keep. `num_after`: of a believed Content-Length, the bytes after the body.
    `is_doubtful`: the separator has no blank line before it, though others have.
    """

    offset: int
    data: bytes
    is_prefix: bool = False
    is_cut: bool = False
    is_last: bool = False
    is_doubtful: bool = False
    num_after: int | None = None


def split_mbox(stream: Readable) -> Iterator[Piece]:
    """Yield everything in the stream, in order, nothing left out but what `is_cut` says."""
    first = stream.read(CHUNK_BYTES)
    rest: Readable = LineEnds(stream) if _has_old_line_ends(first) else stream
    return _Splitter(first, rest).pieces()


def starts_mbox(head: bytes) -> bool:
    """Whether the start of a file is that of an mbox, junk before the first separator included."""
    piece = next(_Splitter(head, io.BytesIO()).pieces(), None)
    return piece is not None and (not piece.is_prefix or len(piece.data) < len(head))


def _has_old_line_ends(first: bytes) -> bool:
    return first.startswith(b"From ") and b"\r" in first and b"\n" not in first


class _Splitter:
    """A window onto the stream: the message being read begins at `_start`, up to `_scanned` it has no separator."""

    def __init__(self, first: bytes, rest: Readable) -> None:
        self._first, self._stream = first.replace(b"\r", b"\n") if _has_old_line_ends(first) else first, rest
        self._data = bytearray()
        self._base = self._start = self._scanned = 0
        self._has_ended = self._has_lengths = self._has_nul = False
        self._is_bare: bool | None = None  # whether a blank line lacks before the separator at `_start`
        self._has_blank_lines = False

    def pieces(self) -> Iterator[Piece]:
        while len(self._data) <= LOOKAHEAD_BYTES and not self._has_ended:
            self._read_more()
        is_prefix = not self._skips_junk()
        if self._start:
            yield Piece(0, bytes(self._data[: self._start]), is_prefix=True)
        while self._start < len(self._data) or not self._has_ended:
            is_doubtful = self._is_bare is True and self._has_blank_lines
            self._has_blank_lines = self._has_blank_lines or self._is_bare is False
            offset, head = self._base + self._start, None
            num_after = self._counted_end() if self._has_lengths and not is_prefix else None
            if num_after is None:
                head = self._find_end(is_prefix)
            end = self._scanned
            with memoryview(self._data) as view:
                data = bytes(view[self._start : end]) if head is None else head
            is_last = self._has_ended and end == len(self._data)
            self._start, self._scanned = end, end + 1
            if end > _LARGE_BYTES:
                self._forget()
            yield Piece(offset, data, is_prefix, head is not None, is_last, is_doubtful, num_after)
            is_prefix = False

    def _skips_junk(self) -> bool:
        """Move to a separator that only a byte order mark, NULs or white space precede, if there is one."""
        junk = _JUNK.match(self._data)
        if junk is None or not self._is_separator(junk.end(), is_first=True):
            return False
        self._start, self._scanned = junk.end(), junk.end() + 1
        return True

    def _find_end(self, is_prefix: bool) -> bytes | None:
        """Move `_scanned` to the next separator or the end; return the message's start when it is too large."""
        head: bytes | None = None
        while True:
            if self._has_separator(is_prefix):
                return head
            if self._has_ended:
                self._scanned = len(self._data)
                return head
            if len(self._data) - self._start > (2 * CHUNK_BYTES if head is not None else MAX_MESSAGE_BYTES):
                head = head if head is not None else bytes(self._data[self._start : self._start + KEPT_OF_TOO_LARGE])
                self._start = len(self._data) - LOOKAHEAD_BYTES - 8
            self._read_more()

    def _has_separator(self, is_first: bool) -> bool:
        end = len(self._data) if self._has_ended else len(self._data) - LOOKAHEAD_BYTES
        found = self._find_mark(max(self._start, self._scanned - 1), end)
        while found >= 0:
            if self._is_separator(found + 1, is_first=is_first):
                self._scanned = found + 1
                return True
            found = self._find_mark(found + 1, end)
        self._scanned = max(self._scanned, end - 6)
        return False

    def _find_mark(self, start: int, end: int) -> int:
        """Where a line end stands before "From "; where there are NUL bytes, one of them will do as well."""
        if not self._has_nul:
            return self._data.find(_MARK, start, max(0, end))
        found = self._data.find(_WORD, start + 1, max(0, end))
        while found >= 0 and self._data[found - 1] not in b"\n\0":
            found = self._data.find(_WORD, found + 1, max(0, end))
        return found - 1 if found >= 0 else -1

    def _is_separator(self, position: int, *, is_first: bool = False) -> bool:
        data = self._data
        self._is_bare = None if is_first else not data[max(0, position - 3) : position].endswith(_AFTER_BLANK)
        if not self._is_bare and _USUAL.match(data, position):
            return True
        line_end = data.find(b"\n", position, position + _MAX_LINE_BYTES)
        if line_end < 0 or not is_from_line(bytes(data[position : line_end + 1])):
            return False
        return (_OPENS_MAIL if self._is_bare else _OPENS_HEADER).match(data, line_end + 1) is not None

    def _counted_end(self) -> int | None:
        """Move `_scanned` to where a Content-Length ends this message; return the bytes after it up to there."""
        blank = _HEADER_END.search(self._data, self._start, self._start + (1 << 16))
        length = blank and _LENGTH.search(self._data, self._start, blank.end())
        if not blank or not length or int(length[1]) > MAX_MESSAGE_BYTES:
            return None
        size = blank.end() - self._start + int(length[1])
        while self._start + size + LOOKAHEAD_BYTES > len(self._data) and not self._has_ended:
            self._read_more()
        stop = self._start + size
        if stop > len(self._data):
            return None
        gap = _GAP.match(self._data, stop)
        end = gap.end() if gap else stop
        is_end = end == len(self._data) and self._has_ended
        is_line = self._data[end - 1] == 10 and self._data.startswith(b"From ", end)
        if not is_end and not (is_line and self._is_separator(end, is_first=True)):
            return None
        self._scanned = end
        return end - stop

    def _forget(self) -> None:
        """Give back the memory of what was read."""
        del self._data[: self._start]
        self._base += self._start
        self._scanned = max(0, self._scanned - self._start)
        self._start = 0

    def _read_more(self) -> None:
        if self._start:
            self._forget()
        chunk = self._first or self._stream.read(CHUNK_BYTES)
        self._first = b""
        self._has_ended = not chunk
        self._has_nul = self._has_nul or b"\0" in chunk
        start = max(0, len(self._data) - len(_LENGTH_SIGN))  # it may lie across two chunks
        self._data += chunk
        self._has_lengths = self._has_lengths or self._data.find(_LENGTH_SIGN, start) >= 0
