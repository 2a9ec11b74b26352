"""Open files of a mail folder safely: no links followed, no pipe waited on, names always printable."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_DIGITS = re.compile(r"(\d+)")


class NotRegularError(OSError):
    """A link, pipe, socket or device where a file was expected."""


def open_regular(path: Path) -> BinaryIO:
    """Return the file opened for reading; raises NotRegularError or OSError, never blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:  # what it says of a link is that there are too many of them
            raise NotRegularError("a symbolic link, not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError("not a regular file")
    return os.fdopen(descriptor, "rb")


def reason_of(error: OSError) -> str:
    """The reason of a reject row: what the system said, without the path."""
    return error.strerror or str(error) or type(error).__name__


def printable(path: Path | str) -> str:
    """The path as text; "hex:" and its bytes when it is no UTF-8."""
    try:
        return str(path).encode("utf-8").decode("utf-8")
    except UnicodeEncodeError:
        return f"hex:{os.fsencode(path).hex()}"


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's entries in natural order ("2." before "10."); raises OSError."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: _natural(entry.name))


def regular_sizes(folder: Path) -> Iterator[int]:
    """Yield the size of every regular file below the folder, links not followed, unreadable ones left out."""
    for _, found in _regular_files(folder):
        yield found.st_size


def folder_digest(folder: Path, is_left_out: Callable[[str], bool] = lambda _: False) -> str:
    """Hex SHA-256 of the places, sizes and times of all regular files below the folder."""
    files = ((path, found) for path, found in _regular_files(folder) if not is_left_out(path))
    rows = sorted((os.fsencode(path), found.st_size, found.st_mtime_ns) for path, found in files)
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _regular_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118  # names may be no UTF-8
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part[:18]), part) if part.isdecimal() else (0, part) for part in _DIGITS.split(name)]
