"""What kind of mail file some first bytes are. Knows nothing of folders; reads nothing itself."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal

from inbox_env.ingest.headers import split_headers
from inbox_env.ingest.mbox_split import starts_mbox
from inbox_env.ingest.names import MBOX_SUFFIXES
from inbox_env.ingest.table_rows import is_csv_of_mail, is_json_of_mail

FileKind = Literal["mbox", "eml", "emlx", "csv", "jsonl", "parquet", "zip", "tar", "packed"]
SNIFF_BYTES = 1 << 16
EMLX_LENGTH = re.compile(rb"[ \t]*(\d{1,12})[ \t]*\r?\n")
_MAIL_FIELDS = frozenset(
    (
        *("from", "to", "cc", "bcc", "subject", "date", "received", "message-id", "return-path", "reply-to"),
        *("mime-version", "content-type", "delivered-to", "sender", "x-mozilla-status", "x-gmail-labels", "x-from"),
    )
)
_USUAL_STARTS = (b"message-id:", b"return-path:", b"received:", b"from:", b"date:", b"delivered-to")
_FOREIGN = {
    b"!BDN": "an Outlook data file: turn it into mbox first, with readpst",
    b"\xd0\xcf\x11\xe0": "an Outlook message or old Office file: save it as .eml first",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard: unpack it first, with unzstd",
    b"7z\xbc\xaf": "packed with 7-Zip: unpack it first",
    b"Rar!": "packed with RAR: unpack it first",
    b"version https://git-lfs": "a pointer to a file that Git LFS has not fetched: fetch it first",
}


def kind_of(head: bytes, name: str) -> FileKind | None:
    """Return what the file is by its first `SNIFF_BYTES`, the name deciding only between mbox and one message.

    "packed" is one compressed file: what is in it must be looked at in turn.
    """
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "packed"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"PAR1"):
        return "parquet"
    return _kind_of_text(head, PurePath(name).suffix.lower())


def foreign_reason(head: bytes) -> str:
    """Return why a file of another program's own form cannot be read and what to do, or "" when it is none known."""
    return next((reason for magic, reason in _FOREIGN.items() if head.startswith(magic)), "")


def is_mail(head: bytes) -> bool:
    """Whether the bytes begin with a header that has at least one field of mail."""
    head = _from_first_field(head)
    if head[:12].lower().startswith(_USUAL_STARTS):
        return True
    fields = split_headers(head)[0].fields
    return not _MAIL_FIELDS.isdisjoint(fields)


def holds_mail(kind: FileKind | None, head: bytes) -> bool:
    """Whether a file of this kind holds mail by its first bytes, not by its name."""
    return kind in ("eml", "emlx", "csv", "jsonl") or (kind == "mbox" and (starts_mbox(head) or is_mail(head)))


def _kind_of_text(head: bytes, suffix: str) -> FileKind | None:
    if suffix == ".emlx" and EMLX_LENGTH.match(head):
        return "emlx"
    if suffix not in MBOX_SUFFIXES and head[:12].lower().startswith(_USUAL_STARTS):
        return "eml"  # most files of most folders: decided at once
    if suffix != ".eml" and starts_mbox(head) and (suffix in MBOX_SUFFIXES or not _is_mail_before(head)):
        return "mbox"
    if is_csv_of_mail(head):
        return "csv"
    if is_json_of_mail(head):
        return "jsonl"
    if is_mail(head):
        return "eml"
    return "mbox" if suffix in MBOX_SUFFIXES else None  # its first separator may lie further on


def _is_mail_before(head: bytes) -> bool:
    """A single message may quote a separator: it starts with its own header, not with "From "."""
    return not head.lstrip(b"\xef\xbb\xbf\0 \t\r\n").startswith(b"From ") and is_mail(head)


def _from_first_field(head: bytes) -> bytes:
    head = head.lstrip(b"\xef\xbb\xbf\0 \t\r\n")
    return head.partition(b"\n")[2] if head.startswith((b"From ", b">From ")) else head
