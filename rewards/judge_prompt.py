"""What a judge is told: the prompt file, and the hostile text between markers that it cannot write itself.

A marker is made of the hash of the text that it encloses, so that no text can hold its own. Knows nothing of replies.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Literal

from inbox_env.questions import Question
from rewards.judge_model import Message

Order = Literal["gold_first", "answer_first"]
MAX_ANSWER_CHARS = 1000
MAX_FIELD_CHARS = 2000
CUT = " [cut]"
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r"\n{2,}")


def plain(text: str, max_chars: int) -> str:
    """Return `text` without invisible characters and runs of blanks, at most `max_chars` long."""
    visible = "".join(char for char in text if char in "\n\t" or unicodedata.category(char)[0] != "C")
    squeezed = _BREAKS.sub("\n", _BLANKS.sub(" ", visible)).strip()
    return squeezed if len(squeezed) <= max_chars else squeezed[: max_chars - len(CUT)] + CUT


def enclosed(name: str, text: str) -> str:
    """Return `text` between two lines with one marker, made of its own hash."""
    marker = f"=== {name} {sha256(text.encode(errors='replace')).hexdigest()[:16]} ==="
    return f"{marker}\n{text}\n{marker}"


def judge_messages(answer: str, question: Question, order: Order = "gold_first") -> list[Message]:
    """Return what the judge is asked about `answer`; `order` says what of answer and right answer comes first."""
    forms = [question.answer or "", *question.accepted]
    gold = "\n".join(f"Right answer: {plain(form, MAX_FIELD_CHARS)}" for form in forms)
    given = f"The program's answer:\n{enclosed('answer', plain(answer, MAX_ANSWER_CHARS))}"
    parts = [gold, given] if order == "gold_first" else [given, gold]
    content = "\n\n".join([f"Question: {plain(question.question, MAX_FIELD_CHARS)}", *parts])
    return [{"role": "system", "content": prompt_text("judge_prompt")}, {"role": "user", "content": content}]


@cache
def prompt_text(name: str) -> str:
    """Return the prompt file `name`.txt of this package."""
    return (files("rewards") / f"{name}.txt").read_text(encoding="utf-8").strip()


def messages_key(messages: list[Message], judge: str) -> str:
    """Return what identifies a question to a judge: every word of it, the prompt's among them, and the judge's name."""
    digest = sha256(judge.encode())
    for message in messages:
        for text in (message["role"], message["content"]):
            digest.update(sha256(text.encode(errors="replace")).digest())
    return digest.hexdigest()[:40]
