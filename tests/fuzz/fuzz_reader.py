"""Coverage-guided fuzzing of the reader.

`PYTHONPATH=. python tests/fuzz/fuzz_reader.py FOUND_FOLDER SEED_FOLDER... -max_total_time=SECONDS` needs the `fuzz`
extra (atheris). Inputs that fail are written to the current folder as `crash-*`; once mended, such a message belongs
in `cases/`, where `test_fuzz_cases.py` keeps it. Further options are libFuzzer's.
"""

from __future__ import annotations

import sys
import time

import atheris

with atheris.instrument_imports(include=["inbox_env"]):
    from inbox_env.ingest.clean import FOLDED, split_forwards, split_quotes, split_signature
    from inbox_env.ingest.headers import split_odd_headers
    from inbox_env.ingest.parse import parse_carefully, parse_email

SECONDS_AT_MOST = 2.0  # instrumented code is several times slower


def check(raw: bytes) -> None:
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
    folded, quoted = split_quotes(email.body)
    if FOLDED not in email.body:
        assert sorted(folded.replace(FOLDED, "").split() + quoted.split()) == sorted(email.body.split())
    own, signature = split_signature(email.body)
    assert own.split() + signature.split() == email.body.split()
    split_forwards(email.body)
    read = parse_email(raw, folder="f", attachment_text=True)
    assert (read.body, read.subject, len(read.attachments)) == (email.body, email.subject, len(email.attachments))
    assert time.process_time() - started < SECONDS_AT_MOST


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
