"""Is a given answer the gold answer? Deterministic, and undecided rather than generous.

Knows nothing of trajectories or rewards.
"""

from __future__ import annotations

import re
from functools import lru_cache

from inbox_env.questions import Question


def match_answer(given: str, question: Question) -> bool | None:
    """Return True (right), False (wrong) or None (undecided: left to a judge)."""
    if question.answer is None:
        return False
    forms = _forms(question.answer, question.accepted)
    return True if _plain(given) in forms else None


def contains_answer(text: str, question: Question) -> bool:
    """Return whether `text` holds the gold answer or an accepted form, word for word."""
    if question.answer is None:
        return False
    plain = f" {_plain(text)} "
    return any(len(form) >= 4 and f" {form} " in plain for form in _forms(question.answer, question.accepted))


@lru_cache(maxsize=8192)
def _forms(answer: str, accepted: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_plain(form) for form in (answer, *accepted))


def _plain(text: str) -> str:
    words = re.findall(r"[\w$%@.:/-]*\w%?", text.casefold().replace(",", ""))
    return " ".join(word for word in words if word not in ("the", "a", "an"))
