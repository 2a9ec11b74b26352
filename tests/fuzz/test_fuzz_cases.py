"""Messages that once were read wrongly, and changed ones of every kind: the rules of `reader_rules` hold for all."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.reader_rules import check

WORDS = [line.strip().strip('"').encode().decode("unicode_escape").encode("latin-1")
         for line in Path(__file__).with_name("mime.dict").read_text().splitlines()]  # fmt: skip

PLAIN = b"From: a@x.org\nContent-Type: text/plain; "
QUOTED = b"From: a@x.org\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
CASES = {
    "escapes of ISO-2022-JP are ASCII": PLAIN + b"charset=iso-2022-jp\n\n\x1b$B$3$l\x1b(B\n",
    "UTF-7 is ASCII": PLAIN + b"charset=utf-7\n\n+AGE-\n",
    "bytes inside an encoded word": b"Subject: =?iso-8859-1?Q?J\xfcrgen?=\n\nx\n",
    "an encoded return before a line end": QUOTED + b"a=0D\r\nb\r\n",
    "no semicolon": b"Content-Type: multipart/mixed\n\tboundary=b\n\n--b\n\nx\n--b--\n",
    "two dates": b"Date: Tue, 7 Apr 2026 10:00:t\nDate: Tue, 7 Apr 2026 10:00:01 +0000\n\nx\n",
}


@pytest.mark.parametrize("name", CASES)
def test_messages_that_were_read_wrongly(name: str) -> None:
    check(CASES[name], 1.0)


def seeds() -> list[bytes]:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Zoë <a@x.org>", "b@y.org, Bo <c@z.org>", "Grüße aus Köln " * 6
    made["Date"], made["Message-ID"] = "Mon, 20 Nov 2000 06:27:00 -0800", "<1@x.org>"
    made.set_content("Hallo\n\nOn 1 May 2001, Bo <c@z.org> wrote:\n> é\n\n-- \nZoë\n")
    plain = made.as_bytes()
    made.add_alternative("<p>Hallo <b>du</b><table><tr><td>x</table>", subtype="html")
    made.add_attachment(b"BEGIN:VEVENT\nSUMMARY:x\n", maintype="text", subtype="calendar", filename="é.ics")
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("---------- Forwarded message\nFrom: a\n\nb\n")
    made.add_attachment(inner)
    return [plain, made.as_bytes(), *CASES.values()]


def changed(raw: bytes, random: Random) -> bytes:
    data = bytearray(raw)
    for _ in range(random.randrange(1, 9)):
        place = random.randrange(len(data) + 1)
        kind = random.randrange(4)
        if kind == 0:
            data[place:place] = random.choice(WORDS)
        elif kind == 1:
            del data[place : place + random.randrange(1, 40)]
        elif kind == 2:
            data[place : place + 1] = bytes([random.randrange(256)])
        else:
            start = random.randrange(len(data) + 1)
            data[place:place] = data[start : start + random.randrange(200)]
    return bytes(data)


def test_changed_messages_keep_to_the_rules() -> None:
    random, messages = Random(7), seeds()
    for _ in range(600):
        check(changed(random.choice(messages), random), 3.0)
