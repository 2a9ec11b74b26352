"""Read a folder of mail files of any kind: .eml, one-message files such as Enron's "1.", mboxes, Maildirs within.

The folder of a mail is its place below the source. Knows nothing of MIME.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from inbox_env.ingest.files import entries, folder_name, open_regular, printable, reason_of
from inbox_env.ingest.maildir import is_maildir, maildir_name, read_maildir, read_message
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.records import RawMail, Reject, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, kind_of

_INDEX_SUFFIXES = (".msf", ".summary")  # other programs' indexes beside an mbox


def read_tree(top: Path) -> Iterator[RawMail | Reject]:
    """Yield every message below the folder; links are not followed and hidden files are not mail."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            found = entries(folder)
        except OSError as error:
            yield Reject(path=printable(folder), offset=0, reason=reason_of(error))
            continue
        skipped: tuple[str, ...] = ()
        if is_maildir(folder):
            yield from read_maildir(folder, maildir_name(folder.relative_to(top)))
            skipped = ("cur", "new", "tmp")
        folders = [entry for entry in found if entry.is_dir(follow_symlinks=False) and entry.name not in skipped]
        waiting += [Path(entry.path) for entry in reversed(folders) if not _is_hidden(entry)]
        if not skipped:
            for entry in found:
                if entry not in folders and not _is_hidden(entry) and not entry.name.endswith(_INDEX_SUFFIXES):
                    yield from _read_file(Path(entry.path), top)


def _read_file(path: Path, top: Path) -> Iterator[RawMail | Reject]:
    try:
        with open_regular(path) as file:
            head = file.read(SNIFF_BYTES)
            kind = kind_of(head, path.name)
            if kind == "mbox":
                file.seek(0)
                yield from read_mbox(file, printable(path), folder_name(path.relative_to(top).with_suffix("")))
    except OSError as error:
        yield Reject(path=printable(path), offset=0, reason=reason_of(error))
        return
    if kind == "eml":
        yield read_message(path, folder_name(path.relative_to(top).parent))
    elif kind != "mbox" and head:
        reason = "an archive inside a folder: import it by itself" if kind else "not a mail file"
        yield Reject(path=printable(path), offset=0, reason=reason, sha256=digest(head))


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    is_folder = entry.is_dir(follow_symlinks=False)
    return entry.name.startswith(".") and not (is_folder and is_maildir(Path(entry.path)))
