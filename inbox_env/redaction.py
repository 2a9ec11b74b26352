"""Keys and passwords of the environment never stand in what is printed, logged or kept.

Libraries put them into messages and addresses of their own; here they are taken out by value. Knows nothing of who
writes what.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

_NAME = re.compile(r"_(?:KEY|TOKEN|SECRET|PASSWORD)\Z", re.IGNORECASE)
_MIN_CHARS = 8  # shorter values are words that occur by chance


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return `text` with each secret of the environment, plain or as in an address, replaced by its variable's name."""
    for name, form in secrets_of(environment, _NAME, _MIN_CHARS):
        text = text.replace(form, f"[{name}]")
    return text


def secrets_of(environment: Mapping[str, str], named: re.Pattern[str], min_chars: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the variables whose name matches: their values, plain and as in an address."""
    for name, value in environment.items():
        if len(value) >= min_chars and named.search(name):
            yield name, value
            yield name, quote(value, safe="")
