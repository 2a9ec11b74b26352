"""What a benchmark asks and of whom: whether the mode suits the questions, and what an earlier report had more of.

Knows nothing of how episodes are played or graded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inbox_env.errors import UsageError
from inbox_env.questions import Question
from rewards.ladder import Mode
from scripts.terminal import plural


def check_mode(questions: Sequence[Question], mode: Mode, where: str) -> str:
    """Return a warning, or "", on questions that only a mail answers; raises UsageError when all are such."""
    num_mails = sum(question.answer_type == "mail" for question in questions)
    if mode == "find" or not num_mails:
        return ""
    what = f"{plural(num_mails, 'question')} of {len(questions):,}"
    if num_mails == sum(question.answerable for question in questions):
        what += ": only a mail is the answer, and mode answer grades words"
        raise UsageError(16, what, where=where, next_step="add --mode find")
    return f"{what} have only a mail for an answer, and their subject is graded as its words: --mode find suits them"


def left_out(folder: Path, now: Mapping[str, Any]) -> str:
    """Return what to say when the summary on file covers more than `now`, which replaces it; "" when it does not.

    Both are as `summary.json` has them; one on file that is none is nothing to speak of.
    """
    try:
        before = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        missing = "; ".join(_missing(before, now))
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    if not missing:
        return ""
    return f"summary and report no longer cover {missing}; the episodes stay: name all again to have them back"


def _missing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    played = {row["name"] for row in now["policies"]}
    if gone := [str(row["name"]) for row in before["policies"] if row["name"] not in played]:
        yield ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
    if gone := sorted(set(before["questions"]["inboxes"]) - set(now["questions"]["inboxes"])):
        yield f"{plural(len(gone), 'inbox', 'inboxes')} ({', '.join(gone[:3])}{', ..' * (len(gone) > 3)})"
    num_before, num_now = before["questions"]["count"], now["questions"]["count"]
    if num_now < num_before:
        yield f"{num_before:,} questions but {num_now:,}"
