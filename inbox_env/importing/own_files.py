"""Which files are the mailbox's own: they are no mail, also when the mailbox lies in the folder that is imported.

Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from inbox_env.ingest.files import printable

_SUFFIXES = (
    r"-journal|-wal|-shm|\.lock|\.whoosh|\.partial-[0-9a-f]{8}|\.rejects\.jsonl(?:\.partial)?"
    r"|\.fresh(?:-journal)?|\.damaged(?:\.\d+)?|\.rebuilt(?:-journal|\.lock|\.whoosh|\.partial-[0-9a-f]{8})?"
)


def own_file_test(*names: Path) -> Callable[[str], bool]:
    """Return what says whether the file at a path, as a reader names it, belongs to the mailbox of these names."""
    tests = [_test(name) for name in names]
    return lambda path: any(is_own(path) for is_own in tests)


def _test(mailbox: Path) -> Callable[[str], bool]:
    name = re.compile(rf"(?:^|(?<=/)){re.escape(printable(mailbox.name))}(?:{_SUFFIXES})?(?=/|$)")
    try:
        home = mailbox.absolute().parent.stat()
    except OSError:
        return lambda _: False

    def is_own(path: str) -> bool:
        found = name.search(path)
        if found is None:
            return False
        try:
            return os.path.samestat(Path(path[: found.start()] or ".").stat(), home)
        except OSError:
            return False

    return is_own
