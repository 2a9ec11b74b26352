"""What command-line arguments may be: what is out of range gets one line before anything is loaded."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from inbox_env.errors import UsageError


def seconds(text: str) -> float:
    """Return a time limit in seconds, above 0; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def port(text: str) -> int:
    """Return a port, 0 for any that is free; raises ArgumentTypeError."""
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def check_writable(path: Path) -> None:
    """Raise UsageError when no file can be written at `path`."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(2, "no file can be written here", where=str(path), next_step="name a file in a folder")
