"""Types of command-line arguments: what is out of range gets one line before anything is loaded."""

from __future__ import annotations

import argparse


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
