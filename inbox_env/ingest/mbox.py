"""Read mbox files of every dialect: mboxo, mboxrd, mboxcl and mboxcl2, with whatever stands before the first mail.

The dialect is taken from the name, from "From mboxrd@z" and from the mails' own lines. Knows nothing of MIME.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from inbox_env.ingest.dates import is_from_line
from inbox_env.ingest.from_line import envelope_date
from inbox_env.ingest.mbox_split import Piece, split_mbox
from inbox_env.ingest.records import TOO_LARGE, RawMail, Reject, digest

_ESCAPED_MBOXO = re.compile(rb"^>From ", re.MULTILINE)
_ESCAPED_MBOXRD = re.compile(rb"^>(>*From )", re.MULTILINE)
_TWICE_ESCAPED = re.compile(rb"(?:\A|^[^>\n][^\n]*\n|^\r?\n)>>+From [^\n]*\n(?!>)", re.MULTILINE)
_FROM_LINES = re.compile(rb"^From [^\n]*", re.MULTILINE)
_TWO_FIELDS = re.compile(rb"(?:\xef\xbb\xbf|\x00|\s)*+(?:[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t]+[^\n]*\n)*){2}")
_BLANK = b"\xef\xbb\xbf\0 \t\r\n"


def read_mbox(stream: BinaryIO, path: str, folder: str) -> Iterator[RawMail | Reject]:
    """Yield the messages of an mbox; what precedes the first one and is no mail is a reject."""
    dialect = _Dialect(path)
    for piece in split_mbox(stream):
        if not piece.is_prefix or _TWO_FIELDS.match(piece.data):
            mail = _to_mail(piece, path, folder, dialect)
            del piece  # as large as the mail
            yield mail
        elif piece.data.strip(b" \t\r\n") and not (piece.is_last and not piece.data.strip(_BLANK)):
            reason = "junk before the first message"
            yield Reject(path=path, offset=piece.offset, reason=reason, sha256=digest(piece.data.strip()))


class _Dialect:
    """How one mbox is written, learned while reading: its body lines that begin with "From ", its separators."""

    def __init__(self, path: str) -> None:
        self._line = b""
        self._date: datetime | None = None
        self._is_mboxrd = path.endswith(".mboxrd")
        self._is_escaped = not path.endswith(".mboxcl2")

    def date_of(self, line: bytes) -> datetime | None:
        """Return the separator's date; programs that export write one line again and again."""
        if line != self._line:
            self._line, self._date = line, envelope_date(line)
        return self._date

    def unescaped(self, raw: bytes, line: bytes, *, is_counted: bool) -> bytes:
        """Return the message as it was before it was written into the mbox."""
        if is_counted and self._is_escaped and b"\nFrom " in raw:
            self._is_escaped = False  # mboxcl2: only the length tells where a mail ends
        if b">From " not in raw or not self._is_escaped:
            return raw
        self._is_mboxrd = self._is_mboxrd or line.startswith(b"From mboxrd@z ") or _is_twice_escaped(raw)
        return _ESCAPED_MBOXRD.sub(rb"\1", raw) if self._is_mboxrd else _ESCAPED_MBOXO.sub(b"From ", raw)


def _is_twice_escaped(raw: bytes) -> bool:
    return b">>From " in raw and _TWICE_ESCAPED.search(raw) is not None


def _to_mail(piece: Piece, path: str, folder: str, dialect: _Dialect) -> RawMail:
    start = 0 if piece.is_prefix else piece.data.find(b"\n") + 1 or len(piece.data)
    line, raw = piece.data[:start], piece.data[start : _end_of_mail(piece)]
    defects = []
    if piece.is_last and raw and not piece.data.endswith(b"\n"):
        defects.append("no_final_newline")
    if raw.endswith(b"\0"):
        raw = raw.rstrip(b"\0")
        defects.append("nul_bytes")
    if piece.is_doubtful:
        defects.append("no_blank_line_before")
    if b"From " in raw:
        if b"\nFrom " in raw and piece.num_after is None and any(map(is_from_line, _FROM_LINES.findall(raw))):
            defects.append("unescaped_from_line")
        raw = dialect.unescaped(raw, line, is_counted=piece.num_after is not None)
    if piece.is_cut:
        defects.append(TOO_LARGE)
    date = dialect.date_of(line) if line else None
    return RawMail(raw, folder, path, piece.offset, date, defects=tuple(defects))


def _end_of_mail(piece: Piece) -> int:
    """The blank line before the next separator is not part of the mail."""
    data = piece.data
    if piece.num_after is not None:
        return len(data) - piece.num_after
    return len(data) - (2 if data.endswith(b"\r\n\r\n") else 1 if data.endswith(b"\n\n") else 0)
