"""The list beside a mailbox of what could not be imported, or not whole: a row each, with the inbox it was meant for.

An import replaces the rows of its own inbox. Knows nothing of why things are rejected.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from inbox_env.ingest.records import Reject


def rejects_path(mailbox: Path) -> Path:
    """Return the list of a mailbox."""
    return mailbox.with_name(f"{mailbox.name}.rejects.jsonl")


def replace_rejects(mailbox: Path, inbox: str, rejects: Iterable[Reject] = ()) -> Path | None:
    """Put `rejects` in place of the inbox's rows and return the list; None when the inbox has none.

    Rows of other inboxes stay; a list without rows goes.
    """
    path = rejects_path(mailbox)
    partial = path.with_name(path.name + ".partial")
    num_own = num_others = 0
    try:
        with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
            for line in _of_others(path, inbox):
                num_others += file.write(line) > 0
            for reject in rejects:
                num_own += file.write(json.dumps({"inbox": inbox, **asdict(reject)}) + "\n") > 0
            file.flush()
            os.fsync(file.fileno())
        if num_own or num_others:
            partial.replace(path)
        else:
            path.unlink(missing_ok=True)
    finally:
        partial.unlink(missing_ok=True)
    return path if num_own else None


def _of_others(path: Path, inbox: str) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if _inbox_of(line) != inbox:
                yield line if line.endswith("\n") else line + "\n"


def _inbox_of(line: str) -> object:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row.get("inbox") if isinstance(row, dict) else None
