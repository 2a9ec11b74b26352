"""Text from mail and models made safe to print, and the one console that prints it.

Mail may hold terminal escapes that move the cursor, retitle the window or write the clipboard: none of them
leaves here. Knows nothing of mail, questions or policies.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# Whole sequences go first, so that their parameters do not stay behind as litter. An unterminated one only
# loses its control characters: its text stays visible, or a mail could hide the rest of itself.
_STRING_SEQUENCE = re.compile(r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)")
_CONTROL_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-OQ-WYZ`-~]")
_LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"  # direction marks and overrides: they reorder what is read
    r"\U000e0000-\U000e007f]"  # invisible tag letters
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def safe(text: str) -> str:
    """Return `text` without escapes, control characters and bidi overrides; "\\n" and "\\t" stay.

    The result always encodes as UTF-8 and is a fixed point: `safe(safe(text)) == safe(text)`.
    """
    text = _STRING_SEQUENCE.sub("", text)
    text = _CONTROL_SEQUENCE.sub("", text)
    text = _LINE_BREAK.sub("\n", text)
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def safe_line(text: str, max_chars: int | None = None) -> str:
    """Return `text` made safe on one line, cut to `max_chars` with an ellipsis."""
    line = " ".join(safe(text).split())
    return line if max_chars is None or len(line) <= max_chars else line[: max_chars - 1].rstrip() + "…"


def plural(count: int, noun: str, many: str = "") -> str:
    """Return "1 mail", "2 mails"; `many` is the plural where that is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def size_text(num_bytes: int) -> str:
    """Return a number of bytes as a person reads it."""
    if num_bytes < 1_000:
        return plural(num_bytes, "byte")
    unit, scale = ("kB", 1_000) if num_bytes < 1_000_000 else ("MB", 1_000_000)
    return f"{num_bytes / scale:,.1f} {unit}"


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that something is under way, on standard error where that is a terminal, until the block ends."""
    if not sys.stderr.isatty():
        yield
        return
    with console(sys.stderr).status(f"{safe_line(text, 60)} ..."):
        yield


def console(file: TextIO | None = None) -> Console:
    """Return a console that interprets nothing in what it is given: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line end: rich would exit with code 1."""
            raise BrokenPipeError(errno.EPIPE, "whoever read the output left")

    stream = sys.stdout if file is None else file
    return _Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=not stream.isatty())
