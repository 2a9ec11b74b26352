"""Single keys from a terminal, without Enter, and the terminal as it was afterwards.

Knows nothing of what the keys do.
"""

from __future__ import annotations

import os
import re
import select
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end",
    "1~": "home", "4~": "end", "5~": "page up", "6~": "page down", "7~": "home", "8~": "end",
}  # fmt: skip
_PLAIN = {"\r": "enter", "\n": "enter", "\t": "tab", " ": "space", "\x7f": "backspace", "\x04": "end of input"}
_KEY = re.compile(r"\x1b(?:\[|O)([0-9;]*[A-Za-z~])|\x1b(.)|([^\x1b])|\x1b", re.DOTALL)
_REST_SECONDS = 0.05  # in which the rest of an escape sequence comes


class Keys:
    """Keys of the terminal at `fd`, by name: `n`, `left`, `page down`, `end of input` .."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[str] = deque()

    def next(self, seconds: float) -> str | None:
        """Return the next key, or None when none was pressed within `seconds`."""
        if not self._waiting:
            self._waiting.extend(names(self._read(seconds)))
        return self._waiting.popleft() if self._waiting else None

    def _read(self, seconds: float) -> str:
        if not select.select([self._fd], [], [], seconds)[0]:
            return ""
        raw = self._bytes()
        if raw.endswith((b"\x1b", b"\x1b[", b"\x1bO")) and select.select([self._fd], [], [], _REST_SECONDS)[0]:
            raw += self._bytes()
        return raw.decode("utf-8", "replace")

    def _bytes(self) -> bytes:
        try:
            return os.read(self._fd, 1024) or b"\x04"
        except OSError:  # the terminal is gone
            return b"\x04"


def names(text: str) -> list[str]:
    """Return the keys of what a terminal sent; sequences that are not known are no keys."""
    found = []
    for sequence, alternate, plain in _KEY.findall(text):
        if plain:
            found.append(_PLAIN.get(plain, plain))
        elif sequence in _NAMES:
            found.append(_NAMES[sequence])
        elif not sequence and not alternate:
            found.append("escape")
    return found


@contextmanager
def single_keys(fd: int) -> Iterator[Keys]:
    """Give keys as they are pressed, unseen; afterwards the terminal is as it was. Needs a POSIX terminal."""
    import termios
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield Keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
