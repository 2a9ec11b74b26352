"""Read a folder of mail of any kind: messages, mboxes, Maildirs, MH folders, Apple's packages, tables and archives.

The folder of a mail is its place below the source. Other programs' own files are not mail (`names`); all else that
is no mail is a reject. Knows nothing of MIME.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from inbox_env.ingest.archive import read_archive
from inbox_env.ingest.contents import read_kind
from inbox_env.ingest.files import entries, open_regular, printable, reason_of
from inbox_env.ingest.flags import mh_labels
from inbox_env.ingest.maildir import STATES, is_maildir, read_maildir
from inbox_env.ingest.names import is_no_mail, maildir_folder
from inbox_env.ingest.records import RawMail, Reject
from inbox_env.ingest.sniff import SNIFF_BYTES, kind_of
from inbox_env.ingest.tables import read_parquet

_SEQUENCES = ".mh_sequences"
_MAX_SEQUENCES_BYTES = 1 << 20


def read_tree(top: Path) -> Iterator[RawMail | Reject]:
    """Yield every message below the folder in natural order; links are not followed, hidden files are not mail."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            found = entries(folder)
        except OSError as error:
            yield Reject(path=printable(folder), offset=0, reason=reason_of(error))
            continue
        folders = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
        files = [entry for entry in found if not entry.is_dir(follow_symlinks=False)]
        if is_maildir(folder):
            yield from read_maildir(folder, maildir_folder(folder.relative_to(top)))
            folders = _below_maildir(folder, folders)
        waiting += [Path(entry.path) for entry in reversed(folders) if not _is_hidden(entry)]
        labels = _mh_labels(folder) if any(entry.name == _SEQUENCES for entry in files) else {}
        for entry in files:
            yield from _read_file(Path(entry.path), top, labels.get(entry.name, ()))


def _read_file(path: Path, top: Path, labels: tuple[str, ...]) -> Iterator[RawMail | Reject]:
    place = path.relative_to(top)
    if is_no_mail(place):
        return
    try:
        with open_regular(path) as file:
            head = file.read(SNIFF_BYTES)
            kind = kind_of(head, path.name)
            if kind not in ("zip", "tar", "packed", "parquet"):
                file.seek(0)
                if head:
                    yield from read_kind(kind, head, file, printable(path), place, labels=labels)
                return
    except OSError as error:
        yield Reject(path=printable(path), offset=0, reason=reason_of(error))
        return
    if kind == "parquet":
        yield from read_parquet(path)
    else:
        yield from read_archive(path, printable(path), PurePosixPath(place.parent))


def _below_maildir(folder: Path, folders: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """The folders to enter after a Maildir was read; a folder inside `cur` or `new` is one as well."""
    below = [entry for entry in folders if entry.name not in (*STATES, "tmp")]
    for state in STATES:
        try:
            below += [entry for entry in entries(folder / state) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # `read_maildir` has said so
    return below


def _mh_labels(folder: Path) -> dict[str, tuple[str, ...]]:
    try:
        with open_regular(folder / _SEQUENCES) as file:
            return mh_labels(file.read(_MAX_SEQUENCES_BYTES).decode("utf-8", "replace"))
    except OSError:
        return {}


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") and not is_maildir(Path(entry.path))
