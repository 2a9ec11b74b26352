"""Keys and passwords of the environment never stand in what is printed, logged or kept.

Libraries put them into messages and addresses of their own; here they are taken out by value. Knows nothing of who
writes what.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_MIN_CHARS = 8  # shorter values are words that occur by chance


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return `text` with each secret of the environment, plain or as in an address, replaced by its variable's name."""
    for name, value in environment.items():
        if name.upper().endswith(_ENDINGS) and len(value) >= _MIN_CHARS:
            for form in (value, quote(value, safe="")):
                text = text.replace(form, f"[{name}]")
    return text
