"""What the standard library writes, the reader reads: headers, bodies and attachments of any kind, in many charsets."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address as Written
from email.message import EmailMessage
from email.policy import SMTP, default

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inbox_env.emails import Address
from inbox_env.ingest.parse import parse_email

ALPHABETS = {  # without UTF-16, which the standard library writes wrongly
    "utf-8": "aé漢😀 .",
    "iso-8859-1": "aéß ñ.",
    "koi8-r": "aПривет .",
    "iso-2022-jp": "a日本語 .",
    "gb18030": "a汉字 .",
    "euc-kr": "a한국 .",
    "windows-1251": "aЖъ .",
    "shift_jis": "aカタ .",
    "big5": "a漢字 .",
}
NAMES = st.text(st.sampled_from("aBé漢ö'-"), min_size=1, max_size=30).map(lambda name: name.strip("'"))
LOCALS = st.from_regex(r"\A[a-z0-9](?:[a-z0-9._+-]{0,10}[a-z0-9])?\Z").filter(lambda local: ".." not in local)
PEOPLE = st.tuples(NAMES, LOCALS, st.sampled_from(["x.org", "mail.example.com", "b-c.de"]))
WORDS = st.lists(
    st.sampled_from(["plain", "Grüße", "日本", "a.b", "(c)", "x,y", "=?", "?=", "😀", "q=3D"]), min_size=1, max_size=20
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, str, str]:
    charset = draw(st.sampled_from(list(ALPHABETS)))
    lines = draw(st.lists(st.text(st.sampled_from(ALPHABETS[charset]), max_size=90), min_size=1, max_size=6))
    cte = draw(st.sampled_from(["quoted-printable", "base64"]))
    return "\n".join(lines) + "\n", charset, cte


def usual(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


@given(bodies(), st.booleans())
def test_bodies_in_any_charset_come_back(body: tuple[str, str, str], is_crlf: bool) -> None:
    text, charset, cte = body
    made = EmailMessage()
    made["From"] = "a@x.org"
    made.set_content(text, charset=charset, cte=cte)
    email = parse_email(made.as_bytes(policy=SMTP if is_crlf else default))
    assert [line.strip() for line in email.body.split("\n")] == [line.strip() for line in usual(text).split("\n")]


@settings(max_examples=60)
@given(
    PEOPLE, st.lists(PEOPLE, min_size=1, max_size=5), WORDS, st.datetimes(datetime(1972, 1, 1), datetime(2069, 1, 1))
)
def test_headers_come_back(sender: tuple, recipients: list[tuple], words: list[str], sent: datetime) -> None:
    made = EmailMessage()
    made["From"] = Written(sender[0], sender[1], sender[2])
    made["To"] = [Written(name, local, domain) for name, local, domain in recipients]
    made["Date"] = sent.replace(microsecond=0, tzinfo=UTC)
    subject = " ".join(words)
    if "=?" not in words and "?=" not in words:  # written as they are, they would be encoded words
        made["Subject"] = subject
    made.set_content("x")
    raw = made.as_bytes()
    # the standard library at times folds the "<" of an address into an encoded word: then nobody reads it back
    read_back = message_from_bytes(raw, policy=default)["To"].addresses
    assume([one.domain for one in read_back] == [domain for _, _, domain in recipients])
    email = parse_email(raw)
    assert email.sender == Address(sender[0], f"{sender[1]}@{sender[2]}")
    assert email.to == tuple(Address(name, f"{local}@{domain}") for name, local, domain in recipients)
    assert email.date == sent.replace(microsecond=0, tzinfo=UTC)
    assert email.subject in ("", subject)


FILES = st.tuples(
    st.text(st.sampled_from("abé漢 .-'"), min_size=1, max_size=40).map(str.strip).filter(bool), st.binary(max_size=60)
)


@settings(max_examples=60)
@given(st.lists(FILES, max_size=4))
def test_attachments_come_back(files: list[tuple[str, bytes]]) -> None:
    made = EmailMessage()
    made.set_content("See them.")
    for name, data in files:
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    email = parse_email(made.as_bytes())
    assert email.body == "See them."
    assert [(attachment.name, attachment.size) for attachment in email.attachments] == [
        (" ".join(name.split()), len(data)) for name, data in files
    ]
