"""A terminal's whole screen and its single keys, without Enter; and the terminal as it was afterwards.

Only where there are POSIX terminals. Knows nothing of what the keys do or of what is drawn.
"""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

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


class Screen:
    """A terminal whose keys come singly and unseen, and whose other screen is drawn on.

    `enter` and `leave` may be called in turn: while the process is stopped (Ctrl-Z) the terminal is as it was. Needs a
    POSIX terminal at `fd`, which `out` writes to.
    """

    def __init__(self, fd: int, out: Console) -> None:
        self.keys = Keys(fd)
        self.is_fresh = True  # nothing is drawn on it yet
        self._fd, self._out = fd, out
        self._before = termios.tcgetattr(fd)

    def enter(self) -> None:
        """Take the terminal."""
        tty.setcbreak(self._fd)
        self._out.set_alt_screen(True)
        self._out.show_cursor(False)
        self.is_fresh = True
        signal.signal(signal.SIGTSTP, self._pause)

    def leave(self) -> None:
        """Give the terminal back as it was."""
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._out.show_cursor(True)
        self._out.set_alt_screen(False)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _pause(self, *_: object) -> None:
        self.leave()
        os.kill(os.getpid(), signal.SIGTSTP)  # stands still here until it is continued
        self.enter()


@contextmanager
def whole_screen(fd: int, out: Console) -> Iterator[Screen]:
    """Give the whole screen; afterwards the terminal is as it was."""
    screen = Screen(fd, out)
    try:
        screen.enter()
        yield screen
    finally:
        screen.leave()
