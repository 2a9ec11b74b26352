"""Split mbox files, streamed: memory is bounded by the largest message kept, whatever the file's size.

A separator is a "From " line with a date, after a blank line, before a header field; other "From " lines are text.
Reads mboxo and mboxrd. Knows nothing of MIME.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from inbox_env.ingest.dates import from_line_date, is_from_line
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES, RawMail, Reject, digest

CHUNK_BYTES = 1 << 20
LOOKAHEAD_BYTES = 4_096  # a From_ line and the start of the next line
_MARK = b"\nFrom "
_FIELD_START = re.compile(rb"[!-9;-~]+[ \t]*:|>+From |\Z")
_JUNK = re.compile(rb"\A(?:\xef\xbb\xbf|\x00|\s)*+(?=From )")
_ESCAPED_MBOXO = re.compile(rb"^>From ", re.MULTILINE)
_ESCAPED_MBOXRD = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes from one separator to the next; `is_cut` when they were too many to keep."""

    offset: int
    data: bytes
    is_cut: bool = False
    is_last: bool = False


def read_mbox(stream: BinaryIO, path: str, folder: str) -> Iterator[RawMail | Reject]:
    """Yield the messages of an mbox; what precedes the first one and is no mail is a reject."""
    is_mboxrd = path.endswith(".mboxrd")
    for piece in _pieces(stream):
        if piece.offset == 0:
            is_mboxrd = is_mboxrd or piece.data.startswith(b"From mboxrd@z ")
            junk, piece = _without_junk(piece)
            if junk:
                yield Reject(path=path, offset=0, reason="junk before the first message", sha256=digest(junk))
            if not piece.data:
                continue
        yield _to_mail(piece, path, folder, is_mboxrd)


def starts_mbox(head: bytes) -> bool:
    """Whether the start of a file is that of an mbox, junk before the first separator included."""
    start = _JUNK.match(head)
    if start is not None and (is_from_line(head[start.end() :]) or _opens_header(head, start.end())):
        return True
    return next(_separators(head, 0, len(head), needs_blank=True), None) is not None


def _pieces(stream: BinaryIO) -> Iterator[_Piece]:
    window, base, scanned = bytearray(), 0, 0
    head: _Piece | None = None  # of a message that is too large to keep
    found_any = False
    while True:
        chunk = stream.read(CHUNK_BYTES)
        window += chunk
        end = max(0, len(window) - LOOKAHEAD_BYTES) if chunk else len(window)
        start = 0
        needs_blank = found_any or _JUNK.match(window) is not None
        for position in _separators(window, scanned, end, needs_blank=needs_blank):
            found_any = True
            yield head or _Piece(base + start, bytes(window[start:position]))
            head, start = None, position
        del window[:start]
        base, scanned = base + start, max(0, end - start - len(_MARK) + 1)  # a mark may lie across the end
        if not chunk:
            break
        if len(window) > (2 * CHUNK_BYTES if head else MAX_MESSAGE_BYTES):
            head = head or _Piece(base, bytes(window[:KEPT_OF_TOO_LARGE]), is_cut=True)
            dropped = len(window) - LOOKAHEAD_BYTES - 8
            del window[:dropped]
            base, scanned = base + dropped, max(0, scanned - dropped)
    if head or window:
        yield head or _Piece(base, bytes(window), is_last=True)


def _separators(window: bytes | bytearray, start: int, end: int, *, needs_blank: bool) -> Iterator[int]:
    """Yield where messages start after a line end in window[start:end]; the first may lack its blank line."""
    found = window.find(_MARK, start, end)
    while found >= 0:
        is_after_blank = found == 0 or window[found - 1] == 10 or window[max(0, found - 2) : found] == b"\n\r"
        if (is_after_blank or not needs_blank) and _is_separator(window, found + 1):
            needs_blank = True
            yield found + 1
        found = window.find(_MARK, found + 1, end)


def _is_separator(window: bytes | bytearray, position: int) -> bool:
    return is_from_line(bytes(window[position : position + 1_000])) and _opens_header(window, position)


def _opens_header(window: bytes | bytearray, position: int) -> bool:
    line_end = window.find(b"\n", position, position + 1_000)
    return line_end >= 0 and _FIELD_START.match(window, line_end + 1) is not None


def _without_junk(piece: _Piece) -> tuple[bytes, _Piece]:
    """Part what comes before the first separator from the first message; a mail without separator is a message."""
    if piece.data.startswith(b"From ") or not piece.data.strip():
        return b"", piece if piece.data.strip() else _Piece(0, b"")
    start = _JUNK.match(piece.data)
    if start is not None:
        return piece.data[: start.end()].strip(), _Piece(start.end(), piece.data[start.end() :], is_last=piece.is_last)
    if re.match(rb"(?:[!-9;-~]+[ \t]*:[^\n]*\n[ \t]*){2}", piece.data):
        return b"", piece
    return piece.data, _Piece(0, b"")


def _to_mail(piece: _Piece, path: str, folder: str, is_mboxrd: bool) -> RawMail:
    line, raw, defects = b"", piece.data, []
    if raw.startswith(b"From "):
        line, _, raw = raw.partition(b"\n")
    if piece.is_last and raw and not raw.endswith(b"\n"):
        defects.append("no_final_newline")
    raw = raw[:-2] if raw.endswith(b"\r\n\r\n") else raw[:-1] if raw.endswith(b"\n\n") else raw
    if b"\nFrom " in raw and any(is_from_line(text) for text in re.findall(rb"^From [^\n]*", raw, re.MULTILINE)):
        defects.append("unescaped_from_line")
    if b">From " in raw:
        raw = _ESCAPED_MBOXRD.sub(rb"\1", raw) if is_mboxrd else _ESCAPED_MBOXO.sub(b"From ", raw)
    if piece.is_cut:
        defects.append("too_large")
    date = from_line_date(line) if line else None
    return RawMail(raw, folder, path, piece.offset, date, defects=tuple(defects))
