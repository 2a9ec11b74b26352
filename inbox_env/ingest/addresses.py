"""Address fields to `Address` values, strictly: what is not plainly one address is nobody's address.

Strict because an address decides who a mail belongs to: display names and comments never become addresses.
Knows nothing of messages; never raises; linear in the length of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from inbox_env.emails import Address
from inbox_env.ingest.headers import decode_words

_ATOM = r"[A-Za-z0-9!#$%&*+/=?^_`{|}~.'\-\u0080-\U0010ffff]+"
_LOCAL = rf'(?:{_ATOM}|"[^"\\\s@,;<>()]+")'
_DOMAIN = r"(?:[A-Za-z0-9_.\-\u0080-\U0010ffff]+|\[[0-9A-Za-z:.]+\])"
_ADDR_SPEC = re.compile(rf"{_LOCAL}@{_DOMAIN}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|<[^<>"]*(?:"[^"]*"[^<>"]*)?>|[^"<>(),;:]+|.', re.DOTALL)
_MAX_FIELD_CHARS = 1_000_000  # twenty thousand people
_MAX_NAME_CHARS = 300
_MAX_ENCODED_CHARS = 4_000
_MAX_REMEMBERED_CHARS = 1_000
# Python's own mailer encodes the comma between two people when it folds the field after a name that it encoded.
_ENCODED_COMMA = re.compile(r">[ \t]+=\?utf-8\?q\?=2C\?=[ \t]+", re.IGNORECASE)
_SPECIAL = frozenset('"<>(;:')


def parse_addresses(value: str) -> tuple[Address, ...]:
    """Return the mailboxes of an undecoded address field in order; `email` is "" where it is not certain."""
    return _remembered(value) if len(value) <= _MAX_REMEMBERED_CHARS else _parsed(value)


def _parsed(value: str) -> tuple[Address, ...]:
    value = value[:_MAX_FIELD_CHARS]
    if "=2C?=" in value:
        value = _ENCODED_COMMA.sub(">, ", value)
    if _SPECIAL.isdisjoint(value):
        return tuple(_bare(piece) for piece in map(str.strip, value.split(",")) if piece)
    return tuple(entry.address() for entry in _entries(value) if not entry.is_empty())


@lru_cache(maxsize=4_096)  # the same few people write and are written to in an inbox
def _remembered(value: str) -> tuple[Address, ...]:
    return _parsed(value)


def _bare(text: str) -> Address:
    return _remembered_bare(text) if len(text) <= _MAX_REMEMBERED_CHARS else _read_bare(text)


@lru_cache(maxsize=8_192)
def _remembered_bare(text: str) -> Address:
    return _read_bare(text)


def _read_bare(text: str) -> Address:
    spec = _spec(text)
    return Address("", spec) if spec else Address(decode_words(text), "")


def _spec(text: str) -> str:
    """The addr-spec in lower case, or "" when the text is anything else."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    if not _ADDR_SPEC.fullmatch(text):
        return ""
    return text.replace('"', "").lower()


class _Entry:
    """One mailbox while it is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.comments: list[str] = []
        self.angle: str | None = None
        self.is_bad = self.has_at = False

    def is_empty(self) -> bool:
        return self.angle is None and not self.comments and not "".join(self.text).strip()

    def add(self, token: str) -> None:
        if token[0] == "<" and token[-1] == ">" and len(token) > 1:
            self.is_bad = self.is_bad or self.angle is not None
            self.angle = token[1:-1].rpartition(":")[2] if token[1:2] == "@" else token[1:-1]
        else:
            is_unclosed = token[0] == '"' and (len(token) < 2 or token[-1] != '"')
            after_angle = self.angle is not None and bool(token.strip())
            self.is_bad = self.is_bad or is_unclosed or after_angle or token in ("<", ">", ")")
            self.has_at = self.has_at or "@" in token
            self.text.append(token)

    def address(self) -> Address:
        words = "".join(self.text)
        spec = "" if self.is_bad else _spec(words if self.angle is None else self.angle)
        if self.angle is None and spec:
            return Address(_name(" ".join(self.comments)), spec)
        if not spec and self.angle:
            words = f"{words.strip()} <{self.angle}>"
        return Address(_name(words) or _name(" ".join(self.comments)), spec)


def _name(text: str) -> str:
    text = text if len(text) < _MAX_ENCODED_CHARS else text[:_MAX_NAME_CHARS]
    text = re.sub(r'"((?:[^"\\]|\\.)*)"', lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), text)
    name = decode_words(text)[:_MAX_NAME_CHARS]
    return name[1:-1].strip() if len(name) > 2 and name[0] == name[-1] == "'" else name


def _entries(value: str) -> Iterator[_Entry]:
    entry, depth, comment = _Entry(), 0, list[str]()
    for match in _TOKEN.finditer(value):
        word = match[0]
        if depth or word == "(":
            depth += (word == "(") - (word == ")")
            comment.append(word)
            if not depth:
                entry.comments.append("".join(comment[1:-1]))
                comment = []
        elif word in (",", ";"):
            yield entry
            entry = _Entry()
        elif word == ":" and entry.angle is None and not entry.has_at:
            entry = _Entry()  # the name of a group
        else:
            entry.add(word)
    entry.is_bad = entry.is_bad or depth > 0
    if depth:
        entry.comments.append("".join(comment[1:]))
    yield entry
