"""What must hold for every message, however it is made: shared by the fuzzer and the tests of what it found."""

from __future__ import annotations

import time

from inbox_env.ingest.clean import FOLDED, split_forwards, split_quotes, split_signature
from inbox_env.ingest.headers import split_odd_headers
from inbox_env.ingest.parse import parse_carefully, parse_email


def check(raw: bytes, seconds: float) -> None:
    """Raise AssertionError when a message is read in a way that no message may be read."""
    started = time.process_time()
    email = parse_email(raw, folder="f")
    texts = [email.subject, email.body, email.message_id, *map(str, (email.sender, *email.recipients))]
    for text in (*texts, *(attachment.name for attachment in email.attachments)):
        text.encode("utf-8")
        assert not any(char < " " and char not in "\n\t" for char in text), text
    assert "\n" not in email.subject + email.message_id
    assert email.message_id
    assert email == parse_carefully(raw, folder="f", split=split_odd_headers)
    read = parse_email(raw, folder="f", attachment_text=True)
    assert (read.body, read.subject, len(read.attachments)) == (email.body, email.subject, len(email.attachments))
    _check_parting(email.body)
    assert time.process_time() - started < seconds


def _check_parting(body: str) -> None:
    folded, quoted = split_quotes(body)
    if FOLDED not in body:
        assert sorted(folded.replace(FOLDED, "").split() + quoted.split()) == sorted(body.split())
    own, signature = split_signature(body)
    assert own.split() + signature.split() == body.split()
    above, forwarded = split_forwards(body)
    assert len(above) + sum(len(part.body) for part in forwarded) <= len(body)
