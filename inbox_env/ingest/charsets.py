"""Bytes to text, whatever the label says. Knows nothing of messages; never raises.

The ladder: declared charset, UTF-8, a guess from the bytes, then latin-1 with replacement.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_GUESS_BYTES = 16_384  # guessing is slow: a sample is enough
_FOREIGN_WORD = re.compile(rb"[\x80-\xff]{3}")
_ALIASES = {
    "iso-8859-1": "cp1252",  # what mailers that say latin-1 mean
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "ansi_x3.4-1968": "ascii",
    "ks_c_5601-1987": "cp949",
}
# Python codecs that are no charset of any mail: some are quadratic, some decode to code points out of thin air.
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
# Lotus Notes wrote typographic marks as \x01 and a letter; Enron's mail has thousands: "Enron\x01,s".
_NOTES_QUOTES = {",": "'", "8": "'", ";": "'", "&": '"', "(": '"', "+": '"', ")": "-", "*": "-"}
_TERMINAL = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\\n]*(?:\x07|\x1b\\\\)?)")  # CSI and OSC sequences
_NOTES_QUOTE = re.compile("\x01([,8;&(+)*])")
_ASCII = bytes(range(32, 127)) + b"\x1b$B!!\x1b(B~{!!~}+AGE-"  # letters in ISO-2022-JP, HZ and UTF-7
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def decode_bytes(data: bytes, declared: str = "") -> str:
    """Return the text of the bytes; raw (control characters and line ends untouched)."""
    codec = _text_codec(declared)
    if codec is not None:
        text = _try(data, codec)
        if text is not None:
            return text
        if data.isascii():  # a damaged 7-bit encoding such as ISO-2022-JP: UTF-8 would "succeed" with escapes
            return data.decode(codec, "replace")
    utf8 = _try(data, "utf-8")
    return utf8 if utf8 is not None else _guess(data)


def encode_text(text: str, declared: str) -> bytes:
    """Return the text as bytes of the declared charset, of UTF-8 where that cannot say it."""
    if text.isascii():
        return text.encode("ascii")
    try:
        return text.encode(_text_codec(declared) or "utf-8")
    except (UnicodeError, LookupError):
        return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def is_ascii_based(declared: str) -> bool:
    """Whether ASCII bytes say the same under this charset as under ASCII; an unknown charset counts as such."""
    codec = _text_codec(declared) if len(declared) < 100 else None
    return codec is None or _try(_ASCII, codec) == _ASCII.decode("ascii")


def clean_text(text: str) -> str:
    """Return text with a space for each control character or lone surrogate; line ends are "\\n", tabs stay.

    What steers a terminal (colours, titles) goes as a whole.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x01" in text:
        text = _NOTES_QUOTE.sub(lambda found: _NOTES_QUOTES[found[1]], text)
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    return _CONTROLS.sub(" ", text)


@lru_cache(maxsize=256)
def _known_codec(name: str) -> str | None:
    try:
        found = codecs.lookup(_ALIASES.get(name, name)).name
        b"ab".decode(found)  # LookupError: a codec that is no text encoding (rot13)
    except UnicodeError:
        pass  # two bytes are no text in UTF-32: still a charset
    except (LookupError, ValueError):
        return None
    return None if found.replace("_", "-") in _NOT_CHARSETS else found


def _text_codec(declared: str) -> str | None:
    name = declared.strip(" \t\"'").lower()
    if not name or len(name) > 40 or "\0" in name:
        return None
    return _known_codec(name)


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, LookupError):
        return None


def _guess(data: bytes) -> str:
    damaged = data.decode("utf-8", "replace")
    whole = damaged.rstrip("\ufffd")
    num_high = sum(1 for char in whole if char > "\x7f")
    if whole.count("\ufffd") * 4 <= num_high and num_high:  # UTF-8, cut inside a character
        return damaged
    sample = data[:_GUESS_BYTES]
    # Accents here and there are Western European; there the guess goes wrong.
    best = None
    if _FOREIGN_WORD.search(sample):
        from charset_normalizer import from_bytes  # seldom needed, and each reading process would wait for it

        best = from_bytes(sample).best()
    text = _try(data, best.encoding if best is not None else "cp1252")
    return text if text is not None else data.decode("latin-1", "replace")
