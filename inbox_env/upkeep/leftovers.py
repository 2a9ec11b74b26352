"""Files beside a mailbox that an interrupted rebuild or forgetting left, and the damaged files that a rebuild kept.

Knows nothing of what is in them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_LEFT = re.compile(
    r"\.(rebuilt(-journal|\.lock|\.whoosh|\.partial-[0-9a-f]{8})?|fresh(-journal)?|rejects\.jsonl\.partial)"
)
_DAMAGED = re.compile(r"\.damaged(\.\d+)?")


def leftovers(mailbox: Path) -> list[Path]:
    """Return what a killed writer left; the holder of the mailbox's lock knows that it is of nobody alive."""
    return _beside(mailbox, _LEFT)


def remove_leftovers(mailbox: Path) -> list[str]:
    """Remove it, for the holder of the mailbox's lock, and return the names."""
    found = leftovers(mailbox)
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return [path.name for path in found]


def damaged_files(mailbox: Path) -> list[Path]:
    """Return the files that rebuilds kept because something was odd about them."""
    return _beside(mailbox, _DAMAGED)


def next_damaged(mailbox: Path) -> Path:
    """Return a free name for one more of them."""
    path, number = mailbox.with_name(f"{mailbox.name}.damaged"), 2
    while path.exists():
        path, number = mailbox.with_name(f"{mailbox.name}.damaged.{number}"), number + 1
    return path


def _beside(mailbox: Path, pattern: re.Pattern[str]) -> list[Path]:
    start = len(mailbox.name)
    return sorted(
        path
        for path in mailbox.absolute().parent.iterdir()
        if path.name.startswith(mailbox.name) and pattern.fullmatch(path.name[start:])
    )
