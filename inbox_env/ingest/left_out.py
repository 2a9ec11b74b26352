"""Which mails are left out on purpose: Gmail's Spam and Trash, and what Thunderbird deleted but has not yet removed.

Only what the mail's own header says counts, not the name of a folder. Knows nothing of files.
"""

from __future__ import annotations

import re

from inbox_env.ingest.labels import all_labels, spam_or_trash

_HEADER_BYTES = 65_536
_LABELS = re.compile(rb"^X-Gmail-Labels:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE | re.IGNORECASE)
_MOZILLA = re.compile(rb"^X-Mozilla-Status: ?([0-9a-fA-F]{4})", re.MULTILINE)
_EXPUNGED = 0x0008
_BLANK_LINE = re.compile(rb"\n\r?\n")


def reason_left_out(raw: bytes) -> str:
    """Return why the mail is not imported unless asked for, or "" for nearly all mail."""
    has_labels = raw.find(b"X-Gmail-Labels:", 0, _HEADER_BYTES) >= 0
    if not has_labels and raw.find(b"X-Mozilla-Status:", 0, 1_024) < 0:
        return ""
    blank = _BLANK_LINE.search(raw, 0, _HEADER_BYTES)
    header = raw[: blank.start() if blank else _HEADER_BYTES]
    status = _MOZILLA.search(header)
    if status is not None and int(status[1], 16) & _EXPUNGED:
        return "deleted in Thunderbird"
    values = [value.decode("utf-8", "replace") for value in _LABELS.findall(header)]
    place = spam_or_trash(all_labels(",".join(values))) if values else ""
    return f"Gmail {place}" if place else ""
