"""The text of attached documents, and that hostile ones only stay unread."""

from __future__ import annotations

import io
import time
import zipfile
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.errors import UsageError
from inbox_env.ingest import documents
from inbox_env.ingest.calendars import calendar_text
from inbox_env.ingest.documents import MAX_DOCUMENT_CHARS, check_document_readers, document_text
from inbox_env.ingest.parse import parse_email

DOCX_TYPE = "vnd.openxmlformats-officedocument.wordprocessingml.document"
INVITATION = """BEGIN:VCALENDAR
BEGIN:VTIMEZONE
DTSTART:19700101T000000
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY:Budget review\\, second
  round
DTSTART;TZID=Europe/Berlin:20240305T140000
DTEND:20240305T150000Z
LOCATION:Room 4
ORGANIZER;CN="Bell, Ann":mailto:ann@x.org
ATTENDEE;PARTSTAT=NEEDS-ACTION;CN=Bob:MAILTO:bob@x.org
DESCRIPTION:Bring\\nthe figures
BEGIN:VALARM
DESCRIPTION:Reminder
END:VALARM
END:VEVENT
END:VCALENDAR
"""
READ_INVITATION = """Summary: Budget review, second round
Start: 2024-03-05 14:00 Europe/Berlin
End: 2024-03-05 15:00 UTC
Location: Room 4
Organizer: Bell, Ann <ann@x.org>
Attendee: Bob <bob@x.org>
Description: Bring
the figures"""


def docx(*paragraphs: str) -> bytes:
    document = pytest.importorskip("docx").Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def with_document_xml(xml: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx("x"))) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, xml if name == "word/document.xml" else old.read(name))
    return out.getvalue()


def pdf(num_pages: int = 1, text: str = "gas price", kids: str = "") -> bytes:
    pytest.importorskip("pypdf")
    stream = f"BT /F1 12 Tf 9 9 Td ({text}) Tj ET".encode()
    pages = " ".join(f"{number + 5} 0 R" for number in range(num_pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {num_pages} /Kids [{kids or pages}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    page = b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
    body, places = b"%PDF-1.4\n", []
    for number, value in enumerate([*objects, *[page] * num_pages], 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(places) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + trailer


def mail_with(data: bytes, subtype: str, name: str, maintype: str = "application") -> bytes:
    made = EmailMessage()
    made["From"], made["Message-ID"], made["Date"] = "a@x.org", "<1@x.org>", "Mon, 20 Nov 2000 06:27:00 -0800"
    made.set_content("See it.")
    made.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return made.as_bytes()


def test_documents_are_read_when_asked_for() -> None:
    cases = [
        (mail_with(docx("Hello", "Grüße"), DOCX_TYPE, "a.docx"), "Hello\nGrüße\nleft\nright"),
        (mail_with(docx("Hi"), "octet-stream", "A.DOCX"), "Hi\nleft\nright"),
        (mail_with(pdf(2), "pdf", "a.pdf"), "gas price\n\ngas price"),
        (mail_with(INVITATION.encode(), "ics", "a.ics"), READ_INVITATION),
        (mail_with("a;é\n".encode(), "csv", "a.csv", "text"), "a;é"),
        (mail_with(b"<p>one<p>two", "html", "a.html", "text"), "one\n\ntwo"),
        (mail_with(b"\x89PNG", "png", "a.png", "image"), ""),
    ]
    for raw, text in cases:
        email = parse_email(raw, attachment_text=True)
        assert [attachment.text for attachment in email.attachments] == [text]
        assert (email.body, email.defects) == ("See it.", ())
        assert [attachment.text for attachment in parse_email(raw).attachments] == [""]


def test_an_invitation_is_read_even_as_the_whole_mail() -> None:
    assert calendar_text(INVITATION) == READ_INVITATION
    raw = b"From: a@x.org\nContent-Type: text/calendar; method=REQUEST\n\n" + INVITATION.encode()
    assert parse_email(raw).body == READ_INVITATION


@given(st.text(st.sampled_from('BEGIN:VEVENT\n ;="\\,SUMMARYDTSTART:2024T'), max_size=300))
def test_any_calendar_is_read(text: str) -> None:
    calendar_text("BEGIN:VEVENT\n" + text)


def hostile() -> dict[str, tuple[documents.DocumentKind, bytes]]:
    laughs = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9))
    word = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    say = b"<w:document %s><w:body><w:p><w:r><w:t>&%s;</w:t></w:r></w:p></w:body></w:document>"
    secret = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + say % (word, b"x")
    return {
        "zip bomb": ("docx", with_document_xml(b" " * 60_000_000)),
        "laughs": ("docx", with_document_xml(b'<!DOCTYPE d [<!ENTITY a0 "ha">%s]>' % laughs + say % (word, b"a8"))),
        "entity": ("docx", with_document_xml(secret)),
        "depth": ("docx", with_document_xml(b"<a>" * 100_000)),
        "no zip": ("docx", b"PK\x03\x04" + b"\0" * 1_000),
        "no pdf": ("pdf", b"%PDF-1.7\n" + b"\xff" * 10_000),
        "circle": ("pdf", pdf(1, kids="2 0 R 2 0 R")),
        "parentheses": ("pdf", pdf(1, text="(" * 100_000)),
        "brackets": ("pdf", b"%PDF-1.4\n1 0 obj\n" + b"[" * 50_000),
        "too large": ("pdf", b"%PDF-1.4\n" + b" " * 5_000_001),
    }


def test_hostile_documents_are_unread_quickly_and_tell_nothing() -> None:
    for name, (kind, data) in hostile().items():
        started = time.process_time()
        text = document_text(kind, data)
        assert time.process_time() - started < 5, name
        assert text is None or (len(text) <= MAX_DOCUMENT_CHARS and "root:" not in text), name


def test_an_unread_document_is_a_defect_of_the_mail() -> None:
    email = parse_email(mail_with(b"%PDF-1.7\n" + b"\xff" * 1_000, "pdf", "a.pdf"), attachment_text=True)
    assert email.defects == ("attachment_unread",)
    assert email.body == "See it."


def test_pages_and_text_are_capped() -> None:
    text = document_text("pdf", pdf(300))
    assert text is not None
    assert text.count("gas price") == 200
    assert len(document_text("text", b"x" * 4_000_000) or "") == MAX_DOCUMENT_CHARS


def test_missing_libraries_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"mailsleuth\[documents\]"):
        check_document_readers()
