"""The MIME tree of a message, split by hand: bounded in depth and number of parts, and fast.

The standard parser recurses once a level and needs half a second for 500 levels; this one stops at `MAX_DEPTH`.
Knows nothing of text or charsets; never raises.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from inbox_env.ingest.headers import (
    Headers,
    HeaderSplitter,
    base64_size,
    decode_base64,
    decode_base64_text,
    parameters,
    split_headers,
)

MAX_DEPTH = 50
MAX_PARTS = 1_000
_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+")
_PREAMBLE = re.compile(
    rb"\A(?:(?:\xef\xbb\xbf|\x00|\s)*+(?=[!-9;-~]+[ \t]*:|>*From ))?(?:>*From (?![ \t]*:)[^\n]*\n)?"
)  # junk before the first field, and an mbox separator
_BOUNDARY_END = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """A node: `body` is encoded as it came; a container (multipart, message) has `children` instead."""

    headers: Headers
    content_type: str
    params: dict[str, str]
    body: bytes
    children: tuple[Part, ...] = ()

    def leaves(self) -> Iterator[Part]:
        """Every part without children, in order."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def content(self) -> bytes:
        """The body with its transfer encoding undone; as it came when the encoding is unknown."""
        encoding = self.headers.raw("content-transfer-encoding").strip().lower()
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding != "base64":
            return self.body
        return decode_base64_text(self.body) if self.is_text() else decode_base64(self.body)

    def size(self) -> int:
        """How many bytes `content` has."""
        encoding = self.headers.raw("content-transfer-encoding").strip().lower()
        return base64_size(self.body) if encoding == "base64" and not self.is_text() else len(self.content())

    def is_text(self) -> bool:
        """Return whether it is text of any kind."""
        return self.content_type.startswith("text/")

    def disposition(self) -> str:
        """Return the word of Content-Disposition: attachment, inline, or nothing."""
        return self.headers.raw("content-disposition").partition(";")[0].strip().lower()

    def file_name(self) -> str:
        """The raw file name given by either field, or ""."""
        disposition = parameters(self.headers.raw("content-disposition"))
        return disposition.get("filename") or self.params.get("name", "")


def split_parts(raw: bytes, split: HeaderSplitter = split_headers) -> tuple[Part, list[str]]:
    """Return the tree of a whole message and the defects met."""
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    splitter = _Splitter(split)
    return splitter.part(_PREAMBLE.sub(b"", raw, count=1), 0, "text/plain"), list(dict.fromkeys(splitter.defects))


class _Splitter:
    def __init__(self, split: HeaderSplitter) -> None:
        self._split = split
        self.num_parts = 0
        self.defects: list[str] = []

    def part(self, raw: bytes, depth: int, default_type: str) -> Part:
        self.num_parts += 1
        headers, start, is_well_formed = self._split(raw)
        if not is_well_formed:
            self.defects.append("malformed_header")
        declared = _with_semicolon(headers.raw("content-type"))
        name = declared.partition(";")[0].strip().lower()
        content_type = name if _MEDIA_TYPE.fullmatch(name) else "text/plain" if declared else default_type
        params = parameters(declared) if ";" in declared else {}
        body = raw[start:]
        return Part(headers, content_type, params, body, self._children(content_type, params, body, headers, depth))

    def _children(
        self, content_type: str, params: dict[str, str], body: bytes, headers: Headers, depth: int
    ) -> tuple[Part, ...]:
        is_message = content_type in ("message/rfc822", "message/global")
        if not is_message and not content_type.startswith("multipart/"):
            return ()
        if depth >= MAX_DEPTH:
            self.defects.append("too_deep")
            return ()
        if is_message:
            if headers.raw("content-transfer-encoding").strip().lower() == "base64":
                body = decode_base64(body)
            return (self.part(_PREAMBLE.sub(b"", body, count=1), depth + 1, "text/plain"),)
        default = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
        return tuple(self.part(piece, depth + 1, default) for piece in self._pieces(body, params.get("boundary", "")))

    def _pieces(self, body: bytes, boundary: str) -> Iterator[bytes]:
        marker = b"--" + boundary.rstrip().encode("utf-8", "surrogatepass")
        if len(marker) == 2:
            self.defects.append("no_boundary")
            return
        start: int | None = None
        for begin, end, is_last in _boundaries(body, marker):
            if start is not None:
                yield _without_line_end(body, start, begin)
            if is_last:
                return
            if self.num_parts >= MAX_PARTS:
                self.defects.append("too_many_parts")
                return
            start = end
        if start is None:
            self.defects.append("no_boundary")
            return
        rest = body[start:]
        content = rest.rstrip().removesuffix(marker + b"--")  # some mailers close on the last line of the text
        is_closed = len(content) < len(rest.rstrip())
        if not is_closed:
            self.defects.append("no_closing_boundary")
        yield content if is_closed else rest


def _with_semicolon(declared: str) -> str:
    """Some mailers forget it before the first parameter."""
    word, _, rest = declared.partition(" ")
    return f"{word}; {rest}" if "=" in rest and _MEDIA_TYPE.fullmatch(word) else declared


def _boundaries(body: bytes, marker: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield begin, end and whether it closes, for each boundary line."""
    found = body.find(marker)
    while found >= 0:
        tail = _BOUNDARY_END.match(body, found + len(marker))
        if tail and (found == 0 or body[found - 1] == 10):
            yield found, tail.end(), tail[1] is not None
        found = body.find(marker, found + len(marker))


def _without_line_end(body: bytes, start: int, end: int) -> bytes:
    if end > start and body[end - 1] == 10:
        end -= 2 if end - 1 > start and body[end - 2] == 13 else 1
    return body[start:end]
