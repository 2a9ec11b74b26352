"""Where mail comes from: finds out what a path holds and yields its raw messages in a stable order.

The one door to the readers. Knows nothing of MIME or of the store.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inbox_env.errors import UsageError
from inbox_env.ingest.archive import read_tar, read_zip
from inbox_env.ingest.files import folder_name, open_regular, printable, regular_sizes
from inbox_env.ingest.maildir import read_message
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.records import RawMail, Reject, Skipped, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, FileKind, kind_of
from inbox_env.ingest.tree import read_tree

_NEXT_STEP = "give an mbox, a Maildir, a folder of mail files, an .eml file or a .zip or .tar.gz of these"


@dataclass(frozen=True, slots=True)
class Source:
    """A path that holds mail: what it is, and how many bytes there are to read (of an archive: packed)."""

    path: Path
    kind: FileKind | Literal["folder"]
    num_bytes: int

    def fingerprint(self) -> str:
        """Return a hash that changes when what the source holds changes: by places, sizes and times, not contents."""
        sizes = regular_sizes(self.path) if self.kind == "folder" else [self.num_bytes]
        modified = self.path.stat().st_mtime_ns
        return digest(repr((str(self.path), self.kind, modified, sorted(sizes))).encode())


def find_source(path: Path) -> Source:
    """Return what the path holds; raises UsageError when that is no mail."""
    where = printable(path)
    try:
        real = path.resolve(strict=True)  # a link that the user names is meant; links inside are not followed
        found = real.stat()
        if stat.S_ISDIR(found.st_mode):
            return Source(real, "folder", sum(regular_sizes(real)))
        with open_regular(real) as file:
            head = file.read(SNIFF_BYTES)
    except FileNotFoundError as error:
        raise UsageError(50, "no such file or folder", where=where, next_step=_NEXT_STEP) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise UsageError(51, f"cannot read mail: {error}", where=where, next_step="check its permissions") from error
    if not head:
        raise UsageError(52, "the file is empty", where=where, next_step=_NEXT_STEP)
    kind = kind_of(head, real.name)
    source = Source(real, kind or "eml", found.st_size)
    if kind is None or (kind == "mbox" and not any(isinstance(item, RawMail) for item in read_source(source))):
        raise UsageError(53, "not a mailbox: no mail in it from byte 0 on", where=where, next_step=_NEXT_STEP)
    return source


def read_source(source: Source, *, include_spam: bool = False) -> Iterator[RawMail | Reject | Skipped]:
    """Yield everything the source holds, each thing exactly once: a message, or a reject saying why not.

    Gmail's Spam and Trash are `Skipped` unless `include_spam`.
    """
    path = source.path
    if source.kind == "folder":
        yield from read_tree(path)
    elif source.kind == "mbox":
        with open_regular(path) as file:
            yield from read_mbox(file, printable(path), folder_name(Path(path.with_suffix("").name)))
    elif source.kind == "eml":
        yield read_message(path, "")
    else:
        yield from read_zip(path) if source.kind == "zip" else read_tar(path)
