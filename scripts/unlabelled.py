"""A question that somebody asks, without a label. Knows nothing of who answers it."""

from __future__ import annotations

from datetime import date

from inbox_env.errors import UsageError
from inbox_env.questions import Question

MAX_CHARS = 2_000


def unlabelled(identity: str, text: str, inbox: str, asked_on: date | None) -> Question:
    """Return a question that somebody asks.

    Nobody knows the answer, so the label is never looked at: the environment reads inbox, words and day only. Raises
    UsageError when it is too long.
    """
    if len(text) > MAX_CHARS:
        what = f"the question has {len(text):,} characters, {MAX_CHARS:,} at most are taken"
        raise UsageError(7, what, next_step="ask in fewer words")
    return Question(id=identity, inbox=inbox, question=text, answerable=False, kind="unanswerable", asked_on=asked_on)
