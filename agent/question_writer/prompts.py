"""What the model is told while it writes and proves questions: prompt files, and hostile text between markers.

Knows nothing of replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib.resources import files

from agent.question_writer.batches import Batch
from agent.question_writer.mails import shown_mails
from inbox_env.emails import Address, Email
from rewards.judge_model import Message
from rewards.judge_prompt import MAX_FIELD_CHARS, enclosed, plain

NUM_DRAFTS = 5
MAX_ANSWER_WORDS = 10


def write_messages(batch: Batch, owner: Address) -> list[Message]:
    """Return what the writer is asked about the mails of a batch."""
    system = _system("write", owner, batch.asked_on, num_drafts=NUM_DRAFTS, max_words=MAX_ANSWER_WORDS)
    return [system, _user(shown_mails((one.email for one in batch.mails), owner))]


def search_messages(question: str, owner: Address, asked_on: date) -> list[Message]:
    """Return what the solver is asked before it has seen any mail."""
    return [_system("search", owner, asked_on), _user(_question(question))]


def answer_messages(question: str, owner: Address, asked_on: date, emails: Sequence[Email]) -> list[Message]:
    """Return what the solver is asked about the mails that its searches found."""
    return [_system("answer", owner, asked_on), _user(f"{_question(question)}\n\n{shown_mails(emails, owner)}")]


def _question(question: str) -> str:
    return enclosed("question", plain(question, MAX_FIELD_CHARS))


def _system(name: str, owner: Address, asked_on: date, **values: object) -> Message:
    text = (files("agent") / "question_writer" / f"{name}.txt").read_text(encoding="utf-8").strip()
    said = plain(owner.name or owner.email or "the owner", 100).replace("\n", " ")
    return {"role": "system", "content": text.format(owner=said, asked_on=asked_on.isoformat(), **values)}


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
