"""What mail programs mark a mail with, as labels that can be searched for. Knows nothing of files or servers.

Whether a mail has been seen is no label: it says nothing about the mail. A mail marked as deleted is still a mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FLAGGED, REPLIED, FORWARDED, DRAFTS, TRASH = "Flagged", "Replied", "Forwarded", "Drafts", "Trash"
_OF_MAILDIR = {"D": DRAFTS, "F": FLAGGED, "P": FORWARDED, "R": REPLIED, "T": TRASH}
_OF_IMAP = {
    "\\flagged": FLAGGED,
    "\\answered": REPLIED,
    "\\draft": DRAFTS,
    "\\deleted": TRASH,
    "$forwarded": FORWARDED,
}
_OF_MH = {"flagged": FLAGGED, "replied": REPLIED, "forwarded": FORWARDED}
_OF_APPLE = {1: TRASH, 2: REPLIED, 4: FLAGGED, 6: DRAFTS, 8: FORWARDED}  # bit numbers
_MAILDIR_INFO = re.compile(r"[:;!]2,([A-Za-z]*)$")  # ";" and "!": where a file name cannot have a colon
_MAX_MH_NUMBERS = 1_000_000


def maildir_labels(file_name: str) -> tuple[str, ...]:
    """Return the labels of a Maildir file name's info part (":2,FRS")."""
    info = _MAILDIR_INFO.search(file_name)
    return tuple(_OF_MAILDIR[flag] for flag in info[1] if flag in _OF_MAILDIR) if info else ()


def imap_labels(flags: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of IMAP flags; keywords that people set themselves are not among them."""
    return tuple(label for label in map(_OF_IMAP.get, map(str.lower, flags)) if label)


def apple_labels(flags: int) -> tuple[str, ...]:
    """Return the labels of the flags number in an .emlx file."""
    return tuple(label for bit, label in _OF_APPLE.items() if flags >> bit & 1)


def mh_labels(sequences: str) -> dict[str, tuple[str, ...]]:
    """Return the labels of each message number by the text of a .mh_sequences file."""
    found: dict[str, tuple[str, ...]] = {}
    for line in sequences.splitlines():
        name, _, numbers = line.partition(":")
        label = _OF_MH.get(name.strip().lower())
        if label is None:
            continue
        for first, last in re.findall(r"(\d{1,9})(?:-(\d{1,9}))?", numbers):
            stop = min(int(last or first), int(first) + _MAX_MH_NUMBERS)
            for number in range(int(first), stop + 1):
                found[str(number)] = (*found.get(str(number), ()), label)
    return found
