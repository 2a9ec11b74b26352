"""Copies of one mail have one content key, and no other mails share one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from inbox_env.emails import Address, Attachment, Email

PAGE = Email(
    "<1@scanner>",
    datetime(2024, 5, 1, tzinfo=UTC),
    Address("Scanner", "scanner@example.org"),
    (Address("Ann", "ann@example.org"),),
    "Scanned document",
    "",
    attachments=(Attachment("scan-001.pdf", "application/pdf", 48_213),),
)


def test_a_copy_has_the_key_of_its_mail() -> None:
    copy = replace(PAGE, message_id="<2@scanner>", subject=" Scanned  document", folders=("Archive",), date=None)
    assert copy.content_key() == PAGE.content_key()


def test_mails_without_a_word_differ_by_what_is_attached() -> None:
    others = [
        (),
        (Attachment("scan-002.pdf", "application/pdf", 48_213),),
        (Attachment("scan-001.pdf", "application/pdf", 51_700),),
        (*PAGE.attachments, Attachment("scan-002.pdf", "application/pdf", 9)),
    ]
    keys = {replace(PAGE, attachments=attached).content_key() for attached in others}
    assert len(keys | {PAGE.content_key()}) == 1 + len(others)


def test_reading_the_text_of_attachments_does_not_make_another_mail() -> None:
    read = tuple(replace(attachment, text="Invoice 17") for attachment in PAGE.attachments)
    assert replace(PAGE, attachments=read).content_key() == PAGE.content_key()


def test_the_same_words_to_other_people_are_another_mail() -> None:
    other = replace(PAGE, to=(Address("Bob", "bob@example.org"),))
    assert other.content_key() != PAGE.content_key()
    assert replace(PAGE, to=(*PAGE.to, *other.to)).content_key() == replace(other, cc=PAGE.to).content_key()
    assert replace(PAGE, bcc=other.to).content_key() == PAGE.content_key()
