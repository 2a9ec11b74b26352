"""How many calls and tokens the writing of questions takes, before anything is sent.

Prompts are measured on the mails themselves; what share of the drafts comes how far, and how long replies are, are
assumptions, named here. A token is taken to be four bytes. A model that reasons before it replies writes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from math import ceil
from statistics import mean

from agent.question_writer.batches import Batch, Batches
from agent.question_writer.mails import shown
from agent.question_writer.prompts import NUM_DRAFTS, answer_messages, search_messages, write_messages
from agent.question_writer.solve import MAX_SHOWN
from inbox_env.emails import Address
from rewards.judge_model import Message

PASS_CHECKS, FIND_MAIL, ARE_SOLVED = 0.7, 0.85, 0.7  # of the drafts that come so far
KEPT_OF_BATCH = NUM_DRAFTS * PASS_CHECKS * FIND_MAIL * ARE_SOLVED
DRAFT_TOKENS, SEARCHES_TOKENS, SOLUTION_TOKENS = 130, 60, 25
BYTES_OF_TOKEN = 4
_MAX_MEASURED = 40
_QUESTION = "What did somebody say about something in the spring of last year?"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Calls of one model, and the tokens that it reads and writes in them."""

    num_calls: int = 0
    num_read: int = 0
    num_written: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        read, written = self.num_read + other.num_read, self.num_written + other.num_written
        return Tokens(self.num_calls + other.num_calls, read, written)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the questions of one inbox are likely to take: to write them, and to prove them."""

    num_batches: int
    writing: Tokens
    proving: Tokens

    def __add__(self, other: Estimate) -> Estimate:
        writing, proving = self.writing + other.writing, self.proving + other.proving
        return Estimate(self.num_batches + other.num_batches, writing, proving)


def num_batches_for(count: int) -> int:
    """Return how many batches so many questions are likely to take."""
    return ceil(count / KEPT_OF_BATCH)


def estimate(batches: Batches, owner: Address, count: int) -> Estimate:
    """Return what `count` questions are likely to take."""
    num_batches = min(num_batches_for(count), batches.num_mails)
    measured = list(islice(batches, min(num_batches, _MAX_MEASURED)))
    write_tokens = mean(_tokens(write_messages(batch, owner)) for batch in measured)
    writing = Tokens(num_batches, round(num_batches * write_tokens), num_batches * NUM_DRAFTS * DRAFT_TOKENS)
    return Estimate(num_batches, writing, _proving(num_batches, measured, owner))


def _proving(num_batches: int, measured: Sequence[Batch], owner: Address) -> Tokens:
    day = date(2000, 1, 1)
    mail_tokens = mean(
        len(shown(one.email, owner).encode()) / BYTES_OF_TOKEN for batch in measured for one in batch.mails
    )
    answer_tokens = _tokens(answer_messages(_QUESTION, owner, day, ())) + MAX_SHOWN * mail_tokens
    num_searched = num_batches * NUM_DRAFTS * PASS_CHECKS
    num_answered = num_searched * FIND_MAIL * (1 + ARE_SOLVED)
    return Tokens(
        ceil(num_searched) + ceil(num_answered),
        round(num_searched * _tokens(search_messages(_QUESTION, owner, day)) + num_answered * answer_tokens),
        round(num_searched * SEARCHES_TOKENS + num_answered * SOLUTION_TOKENS),
    )


def _tokens(messages: Sequence[Message]) -> float:
    return sum(len(message["content"].encode()) for message in messages) / BYTES_OF_TOKEN
