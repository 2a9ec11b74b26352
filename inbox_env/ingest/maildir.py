"""Read Maildir folders and single messages: `cur` and `new` of one folder; `tmp` holds mail that is not there yet.

Other programs may deliver and move mail meanwhile: what vanishes is a reject, not a failure. Knows nothing of MIME.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from inbox_env.ingest.files import entries, open_regular, printable, reason_of
from inbox_env.ingest.flags import maildir_labels
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES, TOO_LARGE, RawMail, Reject, Skipped
from inbox_env.ingest.sniff import is_mail

STATES = ("new", "cur")


def is_maildir(folder: Path) -> bool:
    """Whether the folder holds mail in Maildir form."""
    return any((folder / state).is_dir() for state in STATES)


def read_maildir(folder: Path, name: str) -> Iterator[RawMail | Reject | Skipped]:
    """Yield the messages of this one Maildir folder, which is called `name`; folders in it are not entered."""
    for state in STATES:
        place = folder / state
        try:
            found = entries(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Reject(path=printable(place), offset=0, reason=reason_of(error))
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                continue
            item = read_file_message(Path(entry.path), name, maildir_labels(entry.name))
            is_doubtful = entry.name.startswith(".") and not (isinstance(item, RawMail) and is_mail(item.raw))
            yield Skipped("hidden file", len(item.raw) if isinstance(item, RawMail) else 0) if is_doubtful else item


def read_file_message(path: Path, folder: str, labels: tuple[str, ...] = ()) -> RawMail | Reject:
    """Return the one message in the file, or why it cannot be read."""
    try:
        with open_regular(path) as file:
            return read_message(file, printable(path), folder, labels)
    except OSError as error:
        return Reject(path=printable(path), offset=0, reason=reason_of(error))


def read_message(file: BinaryIO, path: str, folder: str, labels: tuple[str, ...] = ()) -> RawMail | Reject:
    """Return the one message that is in the open file: all of it, or its start when it is too large."""
    return to_message(file.read(MAX_MESSAGE_BYTES + 1), path, folder, labels)


def to_message(
    raw: bytes, path: str, folder: str, labels: tuple[str, ...] = (), defects: tuple[str, ...] = ()
) -> RawMail | Reject:
    """Return the bytes as one message; none at all are a reject."""
    if not raw.strip():
        return Reject(path=path, offset=0, reason="empty file")
    if len(raw) > MAX_MESSAGE_BYTES:
        raw, defects = raw[:KEPT_OF_TOO_LARGE], (*defects, TOO_LARGE)
    return RawMail(raw, folder, path, labels=labels, defects=defects)
