"""Names of inboxes as they are typed: checked and brought into one form, so that the same name is the same inbox.

Knows nothing of what a command does with them, nor of which inboxes there are.
"""

from __future__ import annotations

import argparse
import unicodedata

from inbox_env.errors import UsageError

MAX_NAME_CHARS = 200


def inbox_name(text: str) -> str:
    """Return the name composed (NFC); raises UsageError when it is empty, too long or cannot be printed."""
    name = unicodedata.normalize("NFC", text)
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        next_step = f"use 1 to {MAX_NAME_CHARS} printable characters"
        raise UsageError(96, "not a name for an inbox", where=ascii(name[:40]), next_step=next_step)
    return name


def with_inbox_names(args: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments with what --inbox names checked, where a command has that option."""
    given = getattr(args, "inbox", None)
    if isinstance(given, str):
        args.inbox = inbox_name(given)
    elif isinstance(given, list):
        args.inbox = [inbox_name(name) for name in given]
    return args
