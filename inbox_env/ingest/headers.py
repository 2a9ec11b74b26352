"""Header fields of one message or part: raw, decoded, and the parameters of structured ones.

Written by hand because the standard library raises on hostile fields. A block of plain ASCII fields is split line by
line, any other by patterns; both give the same. Knows nothing of bodies; never raises.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from inbox_env.ingest.charsets import clean_text, decode_bytes, encode_text

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*([^\n]*(?:\n[ \t]+[^\n]*)*)(?:\n|\Z)")
_STRAY_LINE = re.compile(  # a broken line that well-known fields follow: still the header, not the body
    rb"[^\r\n][^\n]*\n"
    rb"(?=(?:From|To|Cc|Subject|Date|Received|Message-ID|MIME-Version|Reply-To|Content-[A-Za-z-]+)[ \t]*:)",
    re.IGNORECASE,
)
_BLANK = re.compile(rb"\r?(?:\n|\Z)")
_FOLD = re.compile(r"\r?\n[ \t]*")
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_RUN = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?[^?]*\?=(?:=\?\1\?\2\?[^?]*\?=)+")
_GAP = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
_PARAMETER = re.compile(r';[ \t\r\n]*([^\s=;]+)[ \t]*=[ \t\r\n]*("(?:[^"\\]|\\.)*"|[^\s;]*)')
_CONTROLS = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n")
_PLAIN_FOLD = re.compile(r"\n[ \t]+")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(byte for byte in range(256) if byte not in _BASE64 + b"=")
_MAX_PADDINGS = 100_000
_FOREIGN_LINE = re.compile(rb"^[^\n]*[^A-Za-z0-9+/=\s][^\n]*$|^[ \t]*\w+[ \t]+\w[^\n]*$", re.MULTILINE)
_BASE64_LINE = re.compile(rb"^[A-Za-z0-9+/]{40,}={0,2}[ \t\r]*$", re.MULTILINE)
_MAX_PARAMETER_CHARS = 8_192


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields by lower-case name, each a list of values in order: unfolded text, not decoded."""

    fields: dict[str, list[str]]

    def raw(self, name: str) -> str:
        """The first value of the field, not decoded; "" when absent."""
        values = self.fields.get(name)
        return values[0] if values else ""

    def all_raw(self, name: str) -> Sequence[str]:
        """Every value of the field as `raw` gives it."""
        return self.fields.get(name, ())

    def text(self, name: str) -> str:
        """The first value for people: encoded words decoded, one line, no control characters; "" when absent."""
        return decode_words(self.raw(name))


HeaderSplitter = Callable[[bytes], tuple[Headers, int, bool]]


def split_headers(raw: bytes) -> tuple[Headers, int, bool]:
    """Return the fields, where the body starts, and whether the header block was well formed."""
    return split_plain_headers(raw) or split_odd_headers(raw)


def split_plain_headers(raw: bytes) -> tuple[Headers, int, bool] | None:
    """Return what `split_headers` does, or None where the block holds anything but plain ASCII fields."""
    end = raw.find(b"\n\n") + 1
    crlf_end = raw.find(b"\n\r\n", 0, end or len(raw)) + 1
    start = crlf_end + 2 if crlf_end else end + 1
    head = raw[: start - 1]
    if crlf_end:
        head = head[:-1].replace(b"\r\n", b"\n")
    if (
        start == 1
        or head[:1] in (b" ", b"\t")
        or not head.isascii()
        or len(head.translate(None, _CONTROLS)) < len(head)
    ):
        return None
    text = head[:-1].decode("ascii")
    if "\n " in text or "\n\t" in text:
        text = _PLAIN_FOLD.sub(" ", text)
    fields: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or "\t" in name:
            return None
        name = name.lower()
        if name in fields:
            fields[name].append(value.strip())
        else:
            fields[name] = [value.strip()]
    return Headers(fields), start, True


def split_odd_headers(raw: bytes) -> tuple[Headers, int, bool]:
    """Return what `split_headers` does, whatever the block holds."""
    fields: dict[str, list[str]] = {}
    position, is_well_formed = 0, True
    while True:
        while field := _FIELD.match(raw, position):
            fields.setdefault(field[1].decode("ascii").lower(), []).append(_unfold(field[2]))
            position = field.end()
        stray = _STRAY_LINE.match(raw, position) if fields else None
        if stray is None:
            break
        position, is_well_formed = stray.end(), False
    blank = _BLANK.match(raw, position)
    return Headers(fields), blank.end() if blank else position, is_well_formed and blank is not None


def decode_words(text: str) -> str:
    """Return a header value with its RFC 2047 words decoded, as one line without control characters."""
    if text.isprintable() and "=?" not in text:
        return " ".join(text.split())
    if "=?" in text:
        text = _WORD.sub(_decoded, _joined(_GAP.sub(r"\1", text)))
    return " ".join(clean_text(text).split())


def parameters(value: str) -> dict[str, str]:
    """Return the parameters of a Content-Type or Content-Disposition value, RFC 2231 forms put together."""
    found: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for name, given in _PARAMETER.findall(value[:_MAX_PARAMETER_CHARS]):
        plain = re.sub(r"\\(.)", r"\1", given[1:-1]) if given.startswith('"') else given
        base, star, rest = name.lower().partition("*")
        if not star:
            found.setdefault(base, plain)
            continue
        index = rest.rstrip("*")
        pieces.setdefault(base, []).append((int(index) if index.isdecimal() else 0, not rest or rest[-1] == "*", plain))
    return {**found, **{name: _continued(parts) for name, parts in pieces.items()}}


def decode_base64(data: bytes) -> bytes:
    """Return what the base64 text holds; foreign bytes, missing padding and padding in between are forgiven."""
    return b"".join(map(_decoded_run, _base64_runs(data)))


def decode_base64_text(data: bytes) -> bytes:
    """Return what the base64 text holds, and as it is what a mailing list wrote below it."""
    foreign = _FOREIGN_LINE.search(data)
    if foreign is None or _BASE64_LINE.search(data, foreign.end()):
        return decode_base64(data)
    above = decode_base64(data[: foreign.start()])
    return above.rstrip(b"\r\n") + b"\n" + data[foreign.start() :] if above else decode_base64(data)


def base64_size(data: bytes) -> int:
    """Return the length of what `decode_base64` returns."""
    return sum(len(run) // 4 * 3 + (0, 0, 1, 2)[len(run) % 4] for run in _base64_runs(data))


def _decoded_run(run: bytes) -> bytes:
    if len(run) % 4 == 1:
        run = run[:-1]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _base64_runs(data: bytes) -> list[bytes]:
    """Some mailers pad every line: what stands between paddings is decoded by itself."""
    data = data.translate(None, _NOT_BASE64).rstrip(b"=")
    if 0 < data.count(b"=") < _MAX_PADDINGS:
        return [run for run in data.split(b"=") if run]
    return [data.replace(b"=", b"")]


def _unfold(value: bytes) -> str:
    text = value.decode("ascii") if value.isascii() else decode_bytes(value)
    return (_FOLD.sub(" ", text) if "\n" in text else text).strip()


def _joined(text: str) -> str:
    # Mailers cut words inside a multibyte character: neighbours of one charset and encoding become one word first.
    return _RUN.sub(_merge, text)


def _merge(run: re.Match[str]) -> str:
    words = _WORD.findall(run[0])
    charset, encoding = run[1], run[2].lower()
    data = b"".join(_word_bytes(encoding, word, charset) for _, _, word in words)
    return f"=?{charset}?b?{binascii.b2a_base64(data, newline=False).decode('ascii')}?="


def _decoded(word: re.Match[str]) -> str:
    return decode_bytes(_word_bytes(word[2].lower(), word[3], word[1]), word[1])


def _word_bytes(encoding: str, text: str, charset: str) -> bytes:
    data = encode_text(text, charset)  # bytes over 127 that were left as they are belong to the word's charset
    return decode_base64(data) if encoding == "b" else binascii.a2b_qp(data, header=True)


def _continued(parts: list[tuple[int, bool, str]]) -> str:
    parts.sort(key=lambda part: part[0])
    charset = ""
    if parts[0][1] and parts[0][2].count("'") >= 2:
        charset, _, rest = parts[0][2].split("'", 2)
        parts[0] = (parts[0][0], True, rest)
    data = b"".join(
        unquote_to_bytes(text) if encoded else text.encode("utf-8", "surrogatepass") for _, encoded, text in parts
    )
    return decode_bytes(data, charset)
