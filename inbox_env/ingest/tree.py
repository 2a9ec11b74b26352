"""Read a folder of mail of any kind: messages, mboxes, Maildirs, MH folders, Apple's packages, tables and archives.

The folder of a mail is its place below the source. A file that is hidden or another program's own by its name
(`names`) is left out when no mail is in it; all else that is no mail is a reject. Knows nothing of MIME.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from inbox_env.ingest.archive import read_archive
from inbox_env.ingest.contents import read_kind, reason_unread
from inbox_env.ingest.files import entries, open_regular, printable, reason_of
from inbox_env.ingest.flags import mh_labels
from inbox_env.ingest.maildir import STATES, is_maildir, read_maildir
from inbox_env.ingest.names import doubt_of, has_mail_suffix, maildir_folder, place_of_source, reason_never_read
from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sniff import SNIFF_BYTES, kind_of
from inbox_env.ingest.tables import read_parquet

_SEQUENCES = ".mh_sequences"
_MAX_SEQUENCES_BYTES = 1 << 20


def read_tree(top: Path) -> Iterator[RawMail | Reject | Skipped]:
    """Yield every message below the folder in natural order, and what is left out; links are not followed."""
    waiting, root = [top], place_of_source(top)
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
            yield from _not_delivered(folder / "tmp")
            folders = _below_maildir(folder, folders)
        waiting += [Path(entry.path) for entry in reversed(folders)]
        labels = _mh_labels(folder) if any(entry.name == _SEQUENCES for entry in files) else {}
        for entry in files:
            yield from _read_file(Path(entry.path), top, root, labels.get(entry.name, ()))


def _read_file(path: Path, top: Path, root: PurePath, labels: tuple[str, ...]) -> Iterator[RawMail | Reject | Skipped]:
    below = path.relative_to(top)
    place = root / below if root.name else below
    doubt, reason = doubt_of(below), reason_never_read(place)
    try:
        if reason or (doubt and not stat.S_ISREG(path.lstat().st_mode)):
            yield Skipped(reason or doubt, path.lstat().st_size)
            return
        with open_regular(path) as file:
            head = file.read(SNIFF_BYTES)
            kind = kind_of(head, path.name)
            is_packed_mail = kind == "packed" and has_mail_suffix(path.name)
            reason = "" if is_packed_mail else reason_unread(kind, head, doubt)
            if reason:
                yield Skipped(reason, os.fstat(file.fileno()).st_size)
                return
            if kind not in ("zip", "tar", "packed", "parquet"):
                file.seek(0)
                yield from read_kind(kind, head, file, printable(path), place, labels=labels)
                return
    except OSError as error:
        yield Reject(path=printable(path), offset=0, reason=reason_of(error))
        return
    if kind == "parquet":
        yield from read_parquet(path)
    else:
        yield from read_archive(path, printable(path), PurePosixPath(place.parent))


def _not_delivered(folder: Path) -> Iterator[Skipped]:
    """What lies in a Maildir's `tmp` is not there yet, or was given up by who delivered it."""
    try:
        found = [entry.stat(follow_symlinks=False) for entry in entries(folder)]
    except OSError:
        return
    yield from (Skipped("not yet delivered", one.st_size) for one in found if not stat.S_ISDIR(one.st_mode))


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
