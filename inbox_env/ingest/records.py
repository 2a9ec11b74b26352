"""What the readers hand on: one raw message with its place, one reject with its reason, or one left out on purpose.

Made by the readers (mbox, maildir, tree, archive); consumed by `inbox_env.importing`. Knows nothing of MIME.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

MAX_MESSAGE_BYTES = 100_000_000
TOO_LARGE = "too_large"  # a defect of the mail, and a code in the list of rejects
KEPT_OF_TOO_LARGE = 4_000_000  # headers and first text of a message over the limit


class RawMail(NamedTuple):
    """One undecoded message: `path` is printable, `offset` is its first byte there, `labels` are further folders.

    A named tuple because mails are handed from process to process by the thousand, and pickled as fast as tuples.
    """

    raw: bytes
    folder: str
    path: str
    offset: int = 0
    envelope_date: datetime | None = None
    labels: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message or file left out on purpose (Gmail's Spam, a hidden file): counted by its reason, never a reject."""

    reason: str
    num_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """Something that could not be imported: one row of `rejects.jsonl`; `sha256` is of the unread bytes, if any.

    With the code TOO_LARGE the mail was imported, but only its start: it is listed beside the rejects, not counted.
    """

    path: str
    offset: int
    reason: str
    sha256: str = ""
    code: str = "unread"


def digest(data: bytes) -> str:
    """Hex SHA-256 of the bytes."""
    return hashlib.sha256(data).hexdigest()
