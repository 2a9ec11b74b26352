"""Another parser's tests: stalwart's 107 messages, compared with what that parser says of them.

`stalwart_fields.json` holds hashes of what stalwart's mail-parser (Apache-2.0 or MIT) expects: subject, first sender,
To, date and text. Equal after Unicode NFC and with runs of white space (control characters count) as one space. Text
is compared like for like: that of the message's own parts, without the messages attached to it, which stalwart lists
apart and mailsleuth shows below; where stalwart lists nameless text as an attachment because the message is broken,
with and without that text are both its reading. A field in which stalwart lost bytes (U+FFFD) is counted apart: it
agrees when everything but the non-ASCII characters is equal.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from inbox_env.emails import Address
from inbox_env.ingest.bodies import body_text
from inbox_env.ingest.parse import parse_email
from inbox_env.ingest.parts import Part, split_parts

TABLE = Path(__file__).with_name("stalwart_fields.json")
SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
EQUAL_SHARE, AGREEING_SHARE, CPU_SECONDS = 0.95, 0.97, 0.1


def normal(text: str) -> str:
    return SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def people(addresses: list[Address]) -> str:
    return "\n".join(f"{normal(address.name)} <{address.email}>" for address in addresses)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def masked(text: str) -> str:
    return "~" + digest(re.sub(r"[^\x00-\x7f]", "\ufffd", text))


def without_messages(part: Part) -> Part:
    kept = tuple(without_messages(child) for child in part.children if not child.content_type.startswith("message/"))
    kind = "text/plain" if part.children and not kept else part.content_type
    return replace(part, children=kept, body=b"" if part.children else part.body, content_type=kind)


def fields_of(raw: bytes) -> dict[str, str]:
    """Each field as read here."""
    email = parse_email(raw)
    senders = [email.sender] if email.sender != Address("", "") else []
    root = split_parts(raw)[0]
    return {
        "subject": normal(email.subject),
        "from": people(senders),
        "to": people(list(email.to)),
        "date": email.date.isoformat() if email.date else "",
        "text": normal("" if root.content_type.startswith("message/") else body_text(without_messages(root))),
    }


def verdict(read: str, expected: list[str]) -> str:
    if digest(read) in expected:
        return "equal"
    return "agrees" if masked(read) in expected else "different"


@pytest.fixture(scope="module")
def messages(shared_data: Path) -> dict[str, bytes]:
    root = shared_data / "odd_mail" / "stalwartlabs__mail-parser" / "resources" / "eml"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.eml"))}


def test_stalwarts_messages_are_read_as_stalwart_reads_them(messages: dict[str, bytes]) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert messages.keys() == table.keys()
    verdicts = {
        (name, field): verdict(read, table[name][field])
        for name, raw in messages.items()
        for field, read in fields_of(raw).items()
    }
    counts = Counter(verdicts.values())
    assert counts["equal"] >= EQUAL_SHARE * len(verdicts), counts
    different = [place for place, found in verdicts.items() if found == "different"]
    assert len(different) <= (1 - AGREEING_SHARE) * len(verdicts), different


def test_each_of_stalwarts_messages_is_read_quickly(messages: dict[str, bytes]) -> None:
    for name, raw in messages.items():
        started = time.process_time()
        parse_email(raw)
        assert time.process_time() - started <= CPU_SECONDS, name
