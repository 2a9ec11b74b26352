"""The one MIME reader: bytes of a message to an `Email`, whatever the bytes are.

Knows nothing of where the bytes came from. Everything odd that was met is named in `Email.defects`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain

from inbox_env.emails import Address, Attachment, Email
from inbox_env.ingest.addresses import parse_addresses
from inbox_env.ingest.bodies import body_text, html_source, list_attachments, read_attachments
from inbox_env.ingest.dates import date_of
from inbox_env.ingest.headers import Headers, HeaderSplitter, decode_words, split_headers
from inbox_env.ingest.labels import gmail_labels
from inbox_env.ingest.parts import split_parts
from inbox_env.ingest.plain import read_plain

MAX_RECIPIENTS = 500
MAX_REFERENCES = 100
MAX_SUBJECT_CHARS = 4_000
_MAX_REMEMBERED_CHARS = 1_000
_ANGLE_ID = re.compile(r"<([^<>\s]+)>")
_PLAIN_ID = re.compile(r"<[!-;=@-~]+>")
_NOTES_TAIL = re.compile(r" ?(?:<[^<>]*>?|@ ?ENRON.*)", re.IGNORECASE)
_LAST_FIRST = re.compile(r"\A([^\s,]+(?: [^\s,]+)?), ([^\s,]+(?: [^\s,]+)?)\Z")
_BETWEEN_NOTES_NAMES = re.compile(r"(?<=>),\s*")


def parse_email(
    raw: bytes,
    *,
    folder: str = "",
    fallback_date: datetime | None = None,
    attachment_text: bool = False,
    keep_html: bool = False,
) -> Email:
    """Return the message as an `Email`; never raises.

    `fallback_date` (UTC) is used when neither Date nor Received can be believed. A message without a usable
    Message-ID gets one made of the SHA-256 of its bytes. Gmail's labels take the place of `folder`. `attachment_text`:
    read attached documents too (`documents.check_document_readers` first). `keep_html`: keep the markup too.
    """
    plain = read_plain(raw)
    if plain is None:
        return parse_carefully(
            raw, folder=folder, fallback_date=fallback_date, attachment_text=attachment_text, keep_html=keep_html
        )
    headers, body = plain
    return _email(raw, headers, folder, fallback_date, body, (), ())


def parse_carefully(
    raw: bytes,
    *,
    folder: str = "",
    fallback_date: datetime | None = None,
    attachment_text: bool = False,
    keep_html: bool = False,
    split: HeaderSplitter = split_headers,
) -> Email:
    """Return what `parse_email` does, without its fast path; with `split_odd_headers` nothing fast is left."""
    root, defects = split_parts(raw, split)
    if attachment_text:
        attachments, is_unread = read_attachments(root)
        defects += ["attachment_unread"] * is_unread
    else:
        attachments = list_attachments(root)
    email = _email(raw, root.headers, folder, fallback_date, body_text(root), attachments, defects)
    return replace(email, html=html_source(root)) if keep_html else email


def _email(
    raw: bytes,
    headers: Headers,
    folder: str,
    fallback_date: datetime | None,
    body: str,
    attachments: tuple[Attachment, ...],
    defects: Sequence[str],
) -> Email:
    date, date_defect = date_of(headers.all_raw("date"), headers.all_raw("received"), fallback_date)
    sender = _sender(headers)
    to, cc, bcc, num_dropped = _recipients(headers)
    message_id, references = _first_id(headers.raw("message-id")), _ids(headers.raw("references"))
    replied = _ids(headers.raw("in-reply-to"))
    found = (
        date_defect,
        "" if message_id else "no_message_id",
        "" if sender.email else "no_sender",
        f"recipients_dropped_{num_dropped}" if num_dropped else "",
        "bad_address" if "" in [address.email for address in (*to, *cc, *bcc)] else "",
    )
    labels = _labels(headers)
    return Email(
        message_id=message_id or synthetic_id(raw),
        date=date,
        sender=sender,
        to=to,
        subject=headers.text("subject")[:MAX_SUBJECT_CHARS],
        body=body,
        cc=cc,
        bcc=bcc,
        in_reply_to=replied[0] if replied else None,
        references=references[-MAX_REFERENCES:],
        folders=labels or ((folder,) if folder else ()),
        attachments=attachments,
        defects=(*defects, *filter(None, found)),
    )


def synthetic_id(raw: bytes) -> str:
    """Return a Message-ID that depends on the bytes alone."""
    return f"<{hashlib.sha256(raw).hexdigest()}@sha256.invalid>"


def _ids(value: str) -> tuple[str, ...]:
    if not value:
        return ()
    return tuple(dict.fromkeys([f"<{decode_words(found)}>" for found in _ANGLE_ID.findall(value)]))


def _first_id(value: str) -> str:
    if _PLAIN_ID.fullmatch(value):
        return value
    ids = _ids(value)
    if ids:
        return ids[0]
    bare = decode_words(value).strip("<>")
    return f"<{bare}>" if bare and not re.search(r"[\s<>]", bare) else ""


def _sender(headers: Headers) -> Address:
    for field in ("from", "sender"):
        written = parse_addresses(headers.raw(field))
        if written:
            first = written[0]
            if not first.email:
                first = next((address for address in written if address.email), first)
            return first if first.name else Address(_notes_name(headers.raw("x-from")), first.email)
    return Address("", "")


def _recipients(headers: Headers) -> tuple[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...], int]:
    room, num_dropped, kept = MAX_RECIPIENTS, 0, list[tuple[Address, ...]]()
    for field in ("to", "cc", "bcc"):
        values = headers.all_raw(field)
        if not values:
            kept.append(())
            continue
        written = tuple(chain.from_iterable(map(parse_addresses, values)))
        named = _with_notes_names(written[:room], headers.raw(f"x-{field}"))
        kept.append(named)
        num_dropped += len(written) - len(named)
        room -= len(named)
    return kept[0], kept[1], kept[2], num_dropped


def _with_notes_names(addresses: tuple[Address, ...], value: str) -> tuple[Address, ...]:
    """Lotus Notes exports (Enron's) keep people's names in X-To beside bare addresses in To."""
    if not value:
        return addresses
    return _remembered_named(addresses, value) if len(value) < _MAX_REMEMBERED_CHARS else _named(addresses, value)


@lru_cache(maxsize=2_048)  # the same lists of people again and again
def _remembered_named(addresses: tuple[Address, ...], value: str) -> tuple[Address, ...]:
    return _named(addresses, value)


def _named(addresses: tuple[Address, ...], value: str) -> tuple[Address, ...]:
    if any(address.name for address in addresses):
        return addresses
    names = _BETWEEN_NOTES_NAMES.split(value) if "<" in value else value.split(",")
    if len(addresses) == 1 and "<" not in value:
        names = [value]
    if len(names) != len(addresses):
        return addresses
    return tuple(Address(_notes_name(name), address.email) for name, address in zip(names, addresses, strict=True))


def _notes_name(value: str) -> str:
    return _remembered_name(value[:MAX_SUBJECT_CHARS]) if value else ""


@lru_cache(maxsize=4_096)
def _remembered_name(value: str) -> str:
    name = _NOTES_TAIL.sub("", decode_words(value)).strip("\"' ,")
    return "" if "@" in name else _LAST_FIRST.sub(r"\2 \1", name)


def _labels(headers: Headers) -> tuple[str, ...]:
    values = headers.all_raw("x-gmail-labels")
    return gmail_labels(",".join(values)) if values else ()
