"""Email to and from a row of the mails table. Knows nothing of connections or inboxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from inbox_env.database import from_microseconds, to_microseconds
from inbox_env.emails import Address, Attachment, Email
from inbox_env.errors import CorruptError

MAIL_COLUMNS = "message_id, sent_us, sender_name, sender_email, subject, envelope, body"
_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` makes one for each call


def to_row(email: Email) -> tuple[str | int | None, ...]:
    """Return the values of `MAIL_COLUMNS`."""
    envelope = {
        "to": _people(email.to),
        "cc": _people(email.cc),
        "bcc": _people(email.bcc),
        "in_reply_to": email.in_reply_to,
        "references": email.references,
        "folders": email.folders,
        "attachments": [_attachment(attachment) for attachment in email.attachments],
        "defects": email.defects,
        "aliases": email.aliases,
        "html": email.html,
    }
    return (
        clean(email.message_id),
        None if email.date is None else to_microseconds(email.date),
        clean(email.sender.name),
        clean(email.sender.email),
        clean(email.subject),
        to_json({key: value for key, value in envelope.items() if value}),
        clean(email.body),
    )


def from_row(row: tuple[Any, ...]) -> Email:
    """Return the email of the values of `MAIL_COLUMNS`; raises CorruptError when they are no such values."""
    try:
        return _from_row(row)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        next_step = "run `mailsleuth doctor --full` on this mailbox"
        raise CorruptError(35, "a mail in the mailbox is damaged", where=repr(row[0]), next_step=next_step) from error


def to_json(value: object) -> str:
    """Return `value` as JSON that a file can hold."""
    return clean(_ENCODER.encode(value))


def clean(text: str) -> str:
    """Return `text` with lone surrogates, which no file can hold, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _from_row(row: tuple[Any, ...]) -> Email:
    message_id, sent_us, name, address, subject, envelope_json, body = row
    if not all(isinstance(text, str) for text in (message_id, name, address, subject, body)):
        raise TypeError("a column that is no text")
    envelope = json.loads(envelope_json)
    return Email(
        message_id=message_id,
        date=from_microseconds(sent_us),
        sender=Address(name, address),
        to=_addresses(envelope, "to"),
        subject=subject,
        body=body,
        cc=_addresses(envelope, "cc"),
        bcc=_addresses(envelope, "bcc"),
        in_reply_to=envelope.get("in_reply_to"),
        references=tuple(envelope.get("references", ())),
        folders=tuple(envelope.get("folders", ())),
        attachments=tuple(Attachment(**item) for item in envelope.get("attachments", ())),
        defects=tuple(envelope.get("defects", ())),
        aliases=tuple(envelope.get("aliases", ())),
        html=str(envelope.get("html", "")),
    )


def _people(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return [{"name": address.name, "email": address.email} for address in addresses]


def _attachment(attachment: Attachment) -> dict[str, str | int]:
    row: dict[str, str | int] = {"name": attachment.name, "content_type": attachment.content_type}
    row["size"] = attachment.size
    return row | {"text": attachment.text} if attachment.text else row


def _addresses(envelope: dict[str, Any], key: str) -> tuple[Address, ...]:
    return tuple(Address(**item) for item in envelope.get(key, ()))
