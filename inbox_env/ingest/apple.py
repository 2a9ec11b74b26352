"""Read Apple Mail's .emlx files: a line with a length, the message, then a property list with flags.

Knows nothing of folders or MIME.
"""

from __future__ import annotations

import plistlib
import re
from typing import BinaryIO

from inbox_env.ingest.flags import apple_labels
from inbox_env.ingest.maildir import to_message
from inbox_env.ingest.records import MAX_MESSAGE_BYTES, RawMail, Reject
from inbox_env.ingest.sniff import EMLX_LENGTH

_FLAGS = re.compile(rb"<key>flags</key>\s*<integer>(\d{1,18})</integer>")
_MAX_PLIST_BYTES = 1 << 20
_PARTIAL = ".partial.emlx"  # its attachments lie elsewhere


def read_emlx(file: BinaryIO, path: str, folder: str) -> RawMail | Reject:
    """Return the message in the open .emlx file."""
    first = file.readline(64)
    found = EMLX_LENGTH.fullmatch(first)
    if found is None:
        return Reject(path=path, offset=0, reason="not an .emlx file: no length line")
    length = int(found[1])
    raw = file.read(min(length, MAX_MESSAGE_BYTES + 1))
    defects: tuple[str, ...] = ("attachments_elsewhere",) if path.endswith(_PARTIAL) else ()
    if len(raw) < min(length, MAX_MESSAGE_BYTES + 1):
        defects += ("cut_off",)
    labels = _labels(file.read(_MAX_PLIST_BYTES)) if len(raw) == length else ()
    return to_message(raw, path, folder, labels, defects)


def _labels(plist: bytes) -> tuple[str, ...]:
    start = plist.find(b"<?xml")
    flags = _FLAGS.search(plist) if start >= 0 else None
    if flags is not None:
        return apple_labels(int(flags[1]))
    start = plist.find(b"bplist00")
    if start < 0:
        return ()
    try:
        value = plistlib.loads(plist[start:]).get("flags", 0)
    except Exception:  # the parser has no one error of its own; flags are not worth a mail
        return ()
    return apple_labels(value) if isinstance(value, int) and value >= 0 else ()
