"""One writer at a time for a mailbox file: a lock file beside it, freed by the system when its owner dies.

Knows nothing of what is written.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbox_env.errors import ResourceError, UsageError

_SECONDS_FOR_PID = 0.2  # the owner writes its id right after it has the lock


def real_path(mailbox: Path) -> Path:
    """Return the file that a mailbox's name means: a link is followed, so that all names share one lock."""
    if not mailbox.is_symlink():
        return mailbox
    try:
        return mailbox.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(66, "the mailbox is a link to itself", where=str(mailbox), next_step="name a file") from error


@contextmanager
def mailbox_lock(mailbox: Path) -> Iterator[None]:
    """Hold the only right to write `mailbox`; raises ResourceError at once when another process has it."""
    path = lock_path(real_path(mailbox))
    descriptor = _acquire(path, mailbox)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still locked: nobody can hold a lock on a file with no name
        os.close(descriptor)


def lock_path(mailbox: Path) -> Path:
    """Return the lock file of a mailbox."""
    return mailbox.with_name(mailbox.name + ".lock")


def _acquire(path: Path, mailbox: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _owner(descriptor)
            os.close(descriptor)
            next_step = "wait until it has finished, or stop it"
            raise ResourceError(45, f"locked by {owner}", where=str(mailbox), next_step=next_step) from error
        if _is_still_at(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
        os.close(descriptor)  # its owner removed it between our opening and locking: try again


def _owner(descriptor: int) -> str:
    deadline = time.monotonic() + _SECONDS_FOR_PID
    while not (pid := os.pread(descriptor, 20, 0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return f"pid {int(pid)}" if pid.isdigit() else "another process"


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
