"""Read Maildir and Maildir++ folders: `cur` and `new` of the folder and of those below it.

Other programs may deliver and move mail meanwhile: what vanishes is a reject, not a failure. Knows nothing of MIME.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from inbox_env.ingest.files import entries, folder_name, open_regular, printable, reason_of
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES, RawMail, Reject

_FLAGS = re.compile(r"[:;!]2,([A-Za-z]*)$")
_LABEL_OF_FLAG = {"T": "trash", "D": "drafts"}


def is_maildir(folder: Path) -> bool:
    """Whether the folder holds mail in Maildir form."""
    return (folder / "cur").is_dir() or (folder / "new").is_dir()


def read_maildir(folder: Path, name: str) -> Iterator[RawMail | Reject]:
    """Yield the messages of this one Maildir folder, which is called `name`."""
    for state in ("new", "cur"):
        place = folder / state
        try:
            found = entries(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Reject(path=printable(place), offset=0, reason=reason_of(error))
            continue
        for entry in found:
            if not entry.name.startswith("."):
                yield read_message(Path(entry.path), name, _labels(entry.name))


def maildir_name(folder: Path) -> str:
    """The folder's name by its path relative to the source: ".Sent.2001" is Sent/2001, the top is inbox."""
    parts = [part.removeprefix(".").replace(".", "/") if part.startswith(".") else part for part in folder.parts]
    return folder_name(Path(*parts)) if parts else "inbox"


def read_message(path: Path, folder: str, labels: tuple[str, ...] = ()) -> RawMail | Reject:
    """Return the one message in the file, or why it cannot be read."""
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        return Reject(path=printable(path), offset=0, reason=reason_of(error))
    if not raw.strip():
        return Reject(path=printable(path), offset=0, reason="empty file")
    is_too_large = len(raw) > MAX_MESSAGE_BYTES
    raw = raw[:KEPT_OF_TOO_LARGE] if is_too_large else raw
    return RawMail(raw, folder, printable(path), labels=labels, defects=("too_large",) if is_too_large else ())


def _labels(name: str) -> tuple[str, ...]:
    flags = _FLAGS.search(name)
    return tuple(_LABEL_OF_FLAG[flag] for flag in flags[1] if flag in _LABEL_OF_FLAG) if flags else ()
