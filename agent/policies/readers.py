"""A reader that guesses: it takes the first thing in a mail that looks like an answer.

Pure; knows nothing of the question or of how the mail was found.
"""

from __future__ import annotations

import re

# Most answer-like first; names last, because every mail holds some.
_VALUES = tuple(
    re.compile(pattern)
    for pattern in (
        r"[$€£][\d,]*\d",
        r"\b\d{1,2}:\d{2} ?[ap]m\b",
        r"\b\d{6}\b|\b\d{3}-\d{3}-\d{4}\b",
        r"\b\d{1,2} (?:Jan|Febr|March|April|May|June|July|August|Sept|Octo|Nov|Dec)[a-z]*\b",
        r"\b[A-Z]{1,3}[- ]?\d{3,6}\b",
        r"\b\d+\b",
        r"\b[A-Z][a-z]+ [A-Z][a-z]+\b",
    )
)


def guess_answer(mail: str) -> str | None:
    """Return the first value in the body of a mail as `read_email` shows it, greeting line aside; None without one."""
    body = mail.partition("\n\n")[2]
    text = body.partition("\n")[2]
    matches = (pattern.search(text) for pattern in _VALUES)
    return next((match.group() for match in matches if match), None)
