"""Reading one message: what is understood, and that nothing raises."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.emails import Address
from inbox_env.ingest.addresses import parse_addresses
from inbox_env.ingest.charsets import decode_bytes
from inbox_env.ingest.headers import base64_size, decode_base64, decode_base64_text, decode_words
from inbox_env.ingest.html_text import html_to_text
from inbox_env.ingest.parse import parse_email

ENVELOPE = datetime(2003, 4, 5, tzinfo=UTC)


def mail(body: str = "Hello\n", **fields: str) -> bytes:
    usual = {"From": "Ann <ann@x.org>", "To": "bob@y.org", "Subject": "Hi", "Message_ID": "<1@x.org>"}
    head = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in {**usual, **fields}.items() if value)
    return (head + "\n" + body).encode("utf-8", "surrogateescape")


def test_a_message_made_by_the_standard_library_comes_back() -> None:
    made = EmailMessage()
    made["From"], made["To"], made["Cc"] = "Zoë Ünal <Zoe@X.org>", "a@y.org, Bo <b@y.org>", "c@z.org"
    made["Subject"], made["Date"] = "Grüße aus Köln — 価格", "Mon, 20 Nov 2000 06:27:00 -0800"
    made["Message-ID"], made["In-Reply-To"], made["References"] = "<9@x.org>", "<8@x.org>", "<7@x.org> <8@x.org>"
    made.set_content("Erste Zeile\nZweite: 10 €\n")
    made.add_alternative("<p>Erste Zeile</p>", subtype="html")
    made.add_attachment(b"12345", maintype="application", subtype="pdf", filename="Rechnung für Zoë.pdf")

    email = parse_email(made.as_bytes(), folder="inbox")

    assert email.sender == Address("Zoë Ünal", "zoe@x.org")
    assert email.to == (Address("", "a@y.org"), Address("Bo", "b@y.org"))
    assert email.cc == (Address("", "c@z.org"),)
    assert email.subject == "Grüße aus Köln — 価格"
    assert email.date == datetime(2000, 11, 20, 14, 27, tzinfo=UTC)
    assert (email.message_id, email.in_reply_to) == ("<9@x.org>", "<8@x.org>")
    assert email.references == ("<7@x.org>", "<8@x.org>")
    assert email.body == "Erste Zeile\nZweite: 10 €"
    assert [(a.name, a.content_type, a.size) for a in email.attachments] == [
        ("Rechnung für Zoë.pdf", "application/pdf", 5)
    ]
    assert email.folders == ("inbox",)
    assert email.defects == ()


@given(
    subject=st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cf")), min_size=1, max_size=80),
    body=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300),
)
def test_subject_and_body_survive_encoding(subject: str, body: str) -> None:
    made = EmailMessage()
    made["Subject"] = subject
    made.set_content(body)
    email = parse_email(made.as_bytes())
    assert email.subject == subject
    assert email.body.split() == body.split()


@given(st.binary(max_size=400))
def test_any_bytes_give_an_email_and_the_same_one_again(raw: bytes) -> None:
    assert parse_email(raw) == parse_email(raw)


SHARDS = st.sampled_from(
    [
        *(
            b"From: ",
            b"To: (",
            b'"',
            b"\\",
            b"<",
            b">",
            b"a@b.org",
            b",",
            b"\n",
            b"\n\n",
            b"\r\n ",
            b"=?utf-8?Q?",
            b"?=",
        ),
        *(b"Content-Type: multipart/mixed; boundary=x\n", b"--x\n", b"--x--\n", b"Content-Type: message/rfc822\n"),
        *(b"Content-Type: text/html\n", b"<p>", b"<!", b"&#x;", b"\xff\xfe", b"Date: ", b"99999", b"name*0*=", b"["),
        *(b"Content-Transfer-Encoding: base64\n", b"charset=", b"idna", b"utf-7", b"+AGE-", b"Message-ID: <[", b"\0"),
    ]
)


@given(st.lists(SHARDS, max_size=40).map(b"".join))
def test_shards_of_mail_give_an_email_that_can_be_stored(raw: bytes) -> None:
    email = parse_email(raw, fallback_date=ENVELOPE)
    texts = [email.subject, email.body, str(email.sender), email.message_id, *map(str, email.recipients)]
    for text in texts:
        text.encode("utf-8")
        assert not any(char < " " and char not in "\n\t" for char in text)
    assert "\n" not in email.subject
    assert email.date is not None


def test_plain_text_is_preferred_and_html_is_read_when_alone() -> None:
    both = "--b\nContent-Type: text/html\n\n<b>rich</b>\n--b\nContent-Type: text/plain\n\nplain\n--b--\n"
    assert parse_email(mail(both, Content_Type="multipart/alternative; boundary=b")).body == "plain"
    html = "<html><head><title>x</title></head><body><p>One<br>two &amp; three</p><script>bad()</script><p>four</body>"
    assert parse_email(mail(html, Content_Type="text/html")).body == "One\ntwo & three\n\nfour"


def test_html_tables_and_preformatted_text_keep_their_words_apart() -> None:
    assert html_to_text("<table><tr><td>Gas</td><td>3.45</td></tr></table>").split() == ["Gas", "3.45"]
    assert html_to_text("<pre>a\n  b</pre>") == "a\nb"


def test_a_part_in_an_unknown_place_is_listed_or_shown_never_lost() -> None:
    body = (
        "--b\nContent-Type: message/rfc822\n\nFrom: Eve <e@z.org>\nSubject: inner\n\ninner text\n"
        "--b\nContent-Type: text/plain; name=notes.txt\n\nnotes\n--b\n\nouter text\n--b--\n"
    )
    email = parse_email(mail(body, Content_Type='multipart/mixed; boundary="b"'))
    assert email.body == "From: Eve <e@z.org>\nSubject: inner\n\ninner text\n\nouter text"
    assert [a.name for a in email.attachments] == ["notes.txt"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@x.org", [("", "a@x.org")]),
        ("Ann B <A@X.org>, b@y.org", [("Ann B", "a@x.org"), ("", "b@y.org")]),
        ('"B, Ann" <a@x.org>', [("B, Ann", "a@x.org")]),
        ("a@x.org (Ann)", [("Ann", "a@x.org")]),
        ("Team: a@x.org, b@y.org; c@z.org", [("", "a@x.org"), ("", "b@y.org"), ("", "c@z.org")]),
        ("undisclosed-recipients:;", []),
        ("romeo.d'souza@x.org, r..gay@x.org", [("", "romeo.d'souza@x.org"), ("", "r..gay@x.org")]),
        ("'a@x.org'", [("", "a@x.org")]),
        ('"pete@evil.org" <a@x.org>', [("pete@evil.org", "a@x.org")]),
        ("=?utf-8?q?b=40evil=2Eorg?= <a@x.org>", [("b@evil.org", "a@x.org")]),
        ("<@r.org,@s.org:a@x.org>", [("", "a@x.org")]),
        ("Ken Lay", [("Ken Lay", "")]),
        ("=?utf-8?q?B=C3=A9?= <a@x.org> =?utf-8?q?=2C?= B <b@x.org>", [("Bé", "a@x.org"), ("B", "b@x.org")]),
    ],
)
def test_addresses(value: str, expected: list[tuple[str, str]]) -> None:
    assert [(a.name, a.email) for a in parse_addresses(value)] == expected


def test_names_beside_the_addresses_are_used_in_lotus_notes_exports() -> None:
    raw = mail(From="kenneth.lay@enron.com", To="j@e.com, t@e.com", X_From="Lay, Kenneth </O=ENRON/CN=KLAY>",
               X_To="Skilling, Jeff </O=ENRON/CN=J>, Tim Belden </O=ENRON/CN=T>")  # fmt: skip
    email = parse_email(raw)
    assert email.sender == Address("Kenneth Lay", "kenneth.lay@enron.com")
    assert email.to == (Address("Jeff Skilling", "j@e.com"), Address("Tim Belden", "t@e.com"))
    assert parse_email(mail(From="k@e.com", X_From="ks@aep.com @ ENRON")).sender == Address("", "k@e.com")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("=?iso-8859-1?Q?Gr=FC=DFe?= =?iso-8859-1?Q?_an?= alle", "Grüße an alle"),
        ("=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"),
        ("=?utf-8?B?!!!?= x", "x"),
        ("=?nope-1?Q?plain?=", "plain"),
        ("=?us-ascii?Q?a=0d=0aBcc:_x?=", "a Bcc: x"),
        ("broken =?utf-8?Q?no end", "broken =?utf-8?Q?no end"),
    ],
)
def test_encoded_words(header: str, expected: str) -> None:
    assert decode_words(header) == expected


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        ("naïve".encode(), "us-ascii", "naïve"),
        ("naïve — “x”".encode("cp1252"), "iso-8859-1", "naïve — “x”"),
        ("naïve".encode("cp1252"), "utf-8", "naïve"),
        ("Всем привет, как дела".encode("koi8-r"), "koi8-r", "Всем привет, как дела"),
        ("日本語".encode("iso-2022-jp")[:-4], "iso-2022-jp", "日本\ufffd"),
        ("日本語".encode()[:-1], "utf-8", "日本\ufffd"),
        (b"plain", "rot13", "plain"),
        (b"plain", "\0", "plain"),
    ],
)
def test_charset_ladder(data: bytes, declared: str, expected: str) -> None:
    assert decode_bytes(data, declared) == expected


FOOTER = b"_______________________________________________\nlist mailing list\nlist@example.org\n"


@given(st.text(min_size=1).map(str.encode), st.sampled_from([20, 60, 72, 76]), st.sampled_from([b"\n", b"\r\n"]))
def test_what_a_list_writes_below_base64_text_is_read_as_it_is(text: bytes, width: int, end: bytes) -> None:
    encoded = b64encode(text)
    written = end.join(encoded[i : i + width] for i in range(0, len(encoded), width)) + end
    assert decode_base64_text(written) == text
    assert decode_base64_text(written + FOOTER) == text.rstrip(b"\r\n") + b"\n" + FOOTER


def test_a_foreign_line_within_base64_text_is_left_out_as_ever() -> None:
    written = b64encode(b"x" * 57) + b"\n!!!\n" + b64encode(b"y" * 57) + b"\n"
    assert decode_base64_text(written) == b"x" * 57 + b"y" * 57


@pytest.mark.parametrize("kind", ["text/plain", "multipart/mixed"])
def test_the_footer_of_a_list_is_part_of_the_text(kind: str) -> None:
    part = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    part += b64encode("Grüße aus Köln".encode()) + b"\n" + FOOTER
    whole = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + part + b"\n--b--\n" if "multi" in kind else part
    body = parse_email(b"From: a@example.org\nSubject: s\n" + whole).body
    assert "Grüße aus Köln" in body
    assert "list@example.org" in body


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([b"\n", b"\r\n", b" ", b"!"]))
def test_base64_that_is_padded_line_by_line_is_read(lines: list[bytes], end: bytes) -> None:
    written = end.join(b64encode(line) for line in lines)
    if all(line and len(line) % 3 for line in lines[:-1]):  # each line but the last has padding
        assert decode_base64(written) == b"".join(lines)
    assert base64_size(written + b"A") == len(decode_base64(written + b"A"))


def test_a_closing_boundary_on_the_last_line_of_the_text_is_no_text() -> None:
    email = parse_email(b'Content-Type: multipart/mixed; boundary="cut"\n\n--cut\n\nSee you there--cut--\n')
    assert email.body == "See you there"
    assert "no_closing_boundary" not in email.defects


def test_a_message_without_id_gets_one_made_of_its_bytes() -> None:
    one, other = mail("a", Message_ID=""), mail("b", Message_ID="")
    assert parse_email(one).message_id == parse_email(one).message_id
    assert parse_email(one).message_id != parse_email(other).message_id
    assert "no_message_id" in parse_email(one).defects


def test_gmail_labels_are_the_folders() -> None:
    raw = mail(X_Gmail_Labels="=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Non_lus?=")
    assert parse_email(raw, folder="All mail").folders == ("Boîte de réception",)


def test_control_characters_part_words_and_notes_quotes_are_quotes() -> None:
    assert parse_email(mail("one\0two\x1bthree Enron\x01,s \x01&gas\x018")).body == "one two three Enron's \"gas'"


def test_line_ends_of_all_kinds_become_newlines() -> None:
    assert parse_email(mail("a\nb\n\nc").replace(b"\n", b"\r\n")).body == "a\nb\n\nc"
    assert parse_email(mail("a\nb").replace(b"\n", b"\r")).body == "a\nb"
