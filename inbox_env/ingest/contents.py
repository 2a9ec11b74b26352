"""Read one open file of mail, whatever it is and wherever it lies: on disk, in an archive, or packed by itself.

Streams: nothing but one message at a time is in memory. Knows nothing of folders or archives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import BinaryIO

from inbox_env.ingest.apple import read_emlx
from inbox_env.ingest.flags import maildir_labels
from inbox_env.ingest.maildir import read_message
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.names import folder_name, is_maildir_file, maildir_folder, mbox_folder
from inbox_env.ingest.records import RawMail, Reject, Skipped, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, FileKind, foreign_reason, holds_mail, kind_of
from inbox_env.ingest.streams import Readable, peek
from inbox_env.ingest.tables import read_csv, read_json_lines

_NOT_HERE = {
    "zip": "an archive inside an archive: unpack it first",
    "tar": "an archive inside an archive: unpack it first",
    "packed": "a packed file inside an archive: unpack it first",
    "parquet": "a Parquet file inside an archive: unpack it first",
}


def read_contents(
    stream: Readable, path: str, place: PurePath, *, doubt: str = "", num_bytes: int = 0
) -> Iterator[RawMail | Reject | Skipped]:
    """Yield the mail of an open file of `num_bytes` at its start; an empty one is left out.

    `path` names it in messages, `place` is where it lies in the source and gives the folder; `doubt` is why its
    name is hardly that of mail.
    """
    head, file = peek(stream, SNIFF_BYTES)
    kind = kind_of(head, place.name)
    reason = reason_unread(kind, head, doubt)
    if reason:
        yield Skipped(reason, num_bytes)
    else:
        yield from read_kind(kind, head, file, path, place)


def reason_unread(kind: FileKind | None, head: bytes, doubt: str) -> str:
    """Return why a file is left out: it is empty, or doubtful by its name and no mail by its content; else ""."""
    return doubt if doubt and not holds_mail(kind, head) else "" if head else "empty file"


def read_kind(
    kind: FileKind | None,
    head: bytes,
    file: BinaryIO,
    path: str,
    place: PurePath,
    *,
    select: str = "",
    labels: tuple[str, ...] = (),
) -> Iterator[RawMail | Reject]:
    """Yield the mail of an open file whose kind is known; what cannot be read as a stream is a reject."""
    if kind == "mbox":
        yield from read_mbox(file, path, mbox_folder(place))
    elif kind == "csv":
        yield from read_csv(file, path, select)
    elif kind == "jsonl":
        yield from read_json_lines(file, path, select)
    elif kind == "emlx":
        yield read_emlx(file, path, folder_name(place.parent))
    elif kind == "eml" and is_maildir_file(place):
        yield read_message(file, path, maildir_folder(place.parent.parent), labels + maildir_labels(place.name))
    elif kind == "eml":
        yield read_message(file, path, folder_name(place.parent), labels)
    else:
        reason = _NOT_HERE[kind] if kind is not None else foreign_reason(head) or "not a mail file"
        yield Reject(path=path, offset=0, reason=reason, sha256=digest(head))
