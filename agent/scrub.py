"""What may be printed of somebody else's error: its type and the first line of its text, without what may be a secret.

An exception of a client library quotes addresses, headers and settings, and any of them can hold a key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from inbox_env.redaction import secrets_of

_MAX_CHARS = 120
_LEAST_SECRET = 6  # a shorter value of the environment is part of too many words
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
# A word, or its part after = or :, that is long and no plain word or number; what a link says of a user or asks for.
_LINK = re.compile(r"(?<=://)[^\s/@]*@|(?<=[?#])[^\s'\"<>]+")
_ODD_WORD = re.compile(r"(?=[A-Za-z0-9_+/-]*\d)(?=[A-Za-z0-9_+/-]*[A-Za-z])[A-Za-z0-9_+-]{16,}|[A-Za-z0-9_+-]{32,}")
_NAMED = re.compile(
    r"(?i)((?:api[_-]?key|token|secret|password|passwd|authorization|bearer)[\"']?\s*(?:[=:]\s*)?[\"']?(?:bearer\s+)?)"
    r"(?!is\b|was\b|not\b|has\b|for\b|must\b|configured\b)[^\s\"',;]{4,}"
)


def scrubbed(error: BaseException, environment: Mapping[str, str] | None = None) -> str:
    """Return `error` in one short line: the type, and what its first line says with every possible secret as "…"."""
    lines = str(error).strip().splitlines()
    text = scrub(lines[0], os.environ if environment is None else environment) if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def scrub(text: str, environment: Mapping[str, str]) -> str:
    """Return `text`, cut to a short line, without the secrets of the environment and without what looks like one."""
    for _, form in secrets_of(environment, _SECRET_NAME, _LEAST_SECRET):
        text = text.replace(form, "…")
    text = _LINK.sub("…", text)
    text = _NAMED.sub(r"\1…", text)
    text = "".join(letter if letter.isprintable() else " " for letter in _ODD_WORD.sub("…", text))
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"
