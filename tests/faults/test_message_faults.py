"""What must happen when one message is bad: faults F06-F16, as far as one message can show them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox_env.ingest.parse import parse_email
from inbox_env.ingest.parts import Part, split_parts
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE


@pytest.fixture
def cpu() -> Iterator[list[float]]:
    """The CPU seconds of the test's body go in as its limit; what other tests left running counts too."""
    limit = [4.0]
    started = time.process_time()
    yield limit
    assert time.process_time() - started <= limit[0]


def test_f06_a_message_that_was_cut_keeps_headers_and_text(cpu: list[float]) -> None:
    head = b"From: a@x.org\nSubject: big\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nthe text\n--b\n"
    part = b"Content-Type: video/mp4; name=v.mp4\nContent-Transfer-Encoding: base64\n\n"
    raw = (head + part + b"QUJD" * 15 + b"\n" + (b"QUJD" * 15 + b"\n") * 65_000)[:KEPT_OF_TOO_LARGE]
    email = parse_email(raw)
    assert (email.subject, email.body) == ("big", "the text")
    assert [(attachment.name, attachment.size > 1_000_000) for attachment in email.attachments] == [("v.mp4", True)]
    assert "no_closing_boundary" in email.defects


def nested(depth: int) -> bytes:
    head = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (i, i) for i in range(depth))
    return b"From: a@x.org\n" + head + b"\ndeep text\n" + b"".join(b"--b%d--\n" % i for i in reversed(range(depth)))


@pytest.mark.parametrize("depth", [60, 500, 5_000])
def test_f07_deep_multiparts_stop_at_the_cap(depth: int, cpu: list[float]) -> None:
    raw = nested(depth)
    cpu[0] = 0.2
    email = parse_email(raw)
    assert "too_deep" in email.defects
    assert "deep text" in email.body


def test_f07_deep_attached_messages_stop_at_the_cap(cpu: list[float]) -> None:
    cpu[0] = 0.2
    email = parse_email(b"Content-Type: message/rfc822\n\n" * 1_000 + b"Subject: deep\n\ndeep text\n")
    assert "too_deep" in email.defects
    assert "deep text" in email.body


def test_f08_parts_are_counted_and_capped(cpu: list[float]) -> None:
    cpu[0] = 2.0
    parts = b"--b\nContent-Disposition: attachment; filename=f\n\nx\n" * 100_000
    email = parse_email(b"From: a@x.org\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n")
    assert len(email.attachments) == 999
    assert "too_many_parts" in email.defects


@pytest.mark.parametrize("field", ["From", "To", "Content-Type", "Message-ID", "Date", "Content-Disposition", "X-From"])
@pytest.mark.parametrize("bomb", ["(", '"', '"\\', "<", "a;b=", " ", "@:", "=?a?q?", "\n ", ",", ';a*0="'])
def test_f09_f10_header_bombs_are_read_in_linear_time(field: str, bomb: str, cpu: list[float]) -> None:
    email = parse_email(f"Subject: s\n{field}: x{bomb * (100_000 // len(bomb))}\n\ntext\n".encode())
    assert (email.subject, email.body) == ("s", "text")


def test_f09_a_comment_bomb_is_kept_as_a_name_without_address() -> None:
    email = parse_email(b"From: " + b"(" * 1_000 + b"a@x.org\n\ntext\n")
    assert email.sender.email == ""
    assert "no_sender" in email.defects


@pytest.mark.parametrize(
    "line",
    [
        "Message-ID: <[hex@ms.com]>",
        "Content-Type: text/plain; charset; name*",
        "To: (c):",
        "Cc: (x): a@b;",
        "To: :;,<>",
    ],
)
def test_f10_fields_that_break_parsers(line: str) -> None:
    email = parse_email(f"{line}\nSubject: s\n\ntext\n".encode())
    assert (email.subject, email.body) == ("s", "text")


@pytest.mark.parametrize(
    "charset", ["foo-9", "rot13", "utf-7", "iso-2022-jp", "idna", "punycode", "unicode_escape", "\0"]
)
def test_f11_charsets_that_lie(charset: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\n\n".encode() + b"caf\xe9 \x1b$B plain words"
    assert "plain words" in parse_email(raw).body.replace("+AF", "")


def test_f12_encoded_words_carry_no_control_characters_and_no_address() -> None:
    raw = (
        b"From: =?utf-8?b?cG90dXNAd2hpdGVob3VzZS5nb3Y=?= =?utf-8?Q?=00=0A?= <eve@evil.org>\n"
        b"Subject: =?utf-8?Q?a=1B]52;c;x=07=0D=0ABcc:_victim@x.org=9b?=\n\nx\n"
    )
    email = parse_email(raw)
    assert email.sender.email == "eve@evil.org"
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in email.subject + email.sender.name)
    assert email.bcc == ()


@pytest.mark.parametrize(
    "value",
    [
        *("alice@x.org)bob@y.com", "alice@x.org(<bob@y.com>", "<alice@x.org> bob@y.com", "<alice@x.org><bob@y.com>"),
        *(
            "alice@x.org bob@y.com",
            'alice@x.org"<bob@y.com>',
            "alice@x.org@y.com",
            "a@x.org <bob@y.com> (",
            "a b@y.com",
        ),
    ],
)
def test_f13_an_ambiguous_address_is_nobodys(value: str) -> None:
    email = parse_email(f"From: {value}\nTo: {value}\n\nx\n".encode())
    assert {address.email for address in (email.sender, *email.recipients)} == {""}
    assert "bad_address" in email.defects


def test_f14_recipients_are_capped_and_the_rest_counted(cpu: list[float]) -> None:
    many = ", ".join(f"User {n} <u{n}@x.org>" for n in range(8_000))
    cpu[0] = 0.2
    email = parse_email(f"From: a@x.org\nTo: {many}\nCc: b@x.org\n\nx\n".encode())
    assert len(email.recipients) == 500
    assert "recipients_dropped_7501" in email.defects


def test_f15_the_made_up_id_depends_on_the_bytes_alone() -> None:
    raw = b"From: a@x.org\nSubject: s\n\nx\n"
    assert (
        parse_email(raw).message_id == parse_email(raw, folder="other").message_id != parse_email(raw + b"y").message_id
    )
    same = [parse_email(b"Message-ID: <1@x.org>\n\n" + body) for body in (b"one", b"two")]
    assert [email.message_id for email in same] == ["<1@x.org>"] * 2
    assert same[0].content_key() != same[1].content_key()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("filename*=utf-8''R%C3%A9sum%C3%A9.pdf", "Résumé.pdf"),
        ("filename*0*=utf-8''R%C3%A9; filename*1=sum; filename*2*=%C3%A9.pdf", "Résumé.pdf"),
        ('filename="=?utf-8?Q?R=C3=A9sum=C3=A9.pdf?="', "Résumé.pdf"),
        ('filename="../../etc/passwd"', "passwd"),
        (r'filename="C:\\\\tmp\\\\a.exe"', "a.exe"),
        ("filename=a b.pdf", "a"),
        ("filename*=nope'x'%ff%00", "ÿ"),
    ],
)
def test_f12_names_of_attachments_are_decoded_and_carry_no_path(line: str, name: str) -> None:
    part = f"Content-Type: application/x-y\nContent-Disposition: attachment; {line}\n\nx\n"
    email = parse_email(f"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nt\n--b\n{part}--b--\n".encode())
    assert [attachment.name for attachment in email.attachments] == [name]


def test_outlooks_own_format_is_listed() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nt\n--b\nContent-Type: application/ms-tnef; "
    email = parse_email(raw + b"name=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgAA\n--b--\n")
    assert [(a.name, a.content_type, a.size) for a in email.attachments] == [("winmail.dat", "application/ms-tnef", 6)]


@pytest.mark.parametrize(
    ("date", "received", "year", "defect"),
    [
        ("Mon, 20 Nov 2000 06:27:00 -0000", "", 2000, ""),
        ("Mon, 20 Nov 99999 06:27:00 +0000", "", 2022, "date_from_envelope"),
        ("Wed, 31 Dec 1969 23:59:59 +0000", "", 2022, "date_from_envelope"),
        ("Mon, 20 Nov 2099 06:27:00 +0000", "by x; Tue, 21 Nov 2000 06:27:00 +0000", 2000, "date_from_received"),
        ("yesterday", "by x; garbage", 2022, "date_from_envelope"),
        ("", "", 2022, "date_from_envelope"),
        ("Mon, 20 Nov 2000 06:27:00 +9999999", "", 2022, "date_from_envelope"),
    ],
)
def test_f16_dates_fall_back(date: str, received: str, year: int, defect: str) -> None:
    fields = f"Date: {date}\n" * bool(date) + f"Received: {received}\n" * bool(received)
    raw = f"From: a@x.org\n{fields}\nx\n".encode()
    email = parse_email(raw, fallback_date=datetime(2022, 4, 18, tzinfo=UTC))
    assert email.date is not None
    assert email.date.year == year
    assert defect == "" or defect in email.defects


def test_no_odd_mail_raises(shared_data: Path) -> None:
    for path in sorted((shared_data / "odd_mail").rglob("*")):
        if path.is_file() and path.stat().st_size < 3_000_000:
            email = parse_email(path.read_bytes())
            email.content_key()
            repr(email).encode("utf-8")


def test_odd_mail_with_a_text_part_has_a_body(shared_data: Path) -> None:
    for source in (
        "jstedfast__MimeKit",
        "mailgun__flanker",
        "mikel__mail",
        "python__cpython",
        "stalwartlabs__mail-parser",
    ):
        for path in sorted((shared_data / "odd_mail" / source).rglob("*")):
            if path.is_file() and path.stat().st_size < 3_000_000:
                raw = path.read_bytes()
                shown = [leaf for leaf in split_parts(raw)[0].leaves() if leaf.content_type == "text/plain"]
                has_text = any(leaf.content().strip(b"\r\n\t\0 ") for leaf in shown if not is_attached(leaf))
                assert parse_email(raw).body or not has_text, path


def is_attached(part: Part) -> bool:
    return part.disposition() == "attachment" or bool(part.file_name())
