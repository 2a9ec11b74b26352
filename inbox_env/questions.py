"""Question: asked of one inbox, with gold answer and gold messages; and its JSON Lines form.

Reads this project's format and ART-E's (`query_date` instead of `asked_on`, no kind). Knows nothing of how it is
played.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from inbox_env.errors import UsageError

Kind = Literal["single", "multi", "distractor", "unanswerable"]
AnswerType = Literal["", "amount", "date", "time", "phone", "place", "sender", "mail"]
"""What a checkable answer is; "mail": only the mail counts, and `answer` says no more than which; "": not said."""


class Question(BaseModel):
    """One question. `answer` None means that nothing in the inbox answers it.

    Without a label (`is_labelled` false) nobody knows the answer: only a judge can rank what is said to it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    inbox: str
    question: str
    answer: str | None = None
    accepted: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    answerable: bool = True
    kind: Kind = "single"
    asked_on: date | None = Field(default=None, description="mail dated after this day is invisible")
    inbox_address: str = ""
    evidence: str | None = None
    how_realistic: float | None = None
    split: str = ""
    is_labelled: bool = True
    answer_type: AnswerType = Field(default="", description='"mail": for find mode only')

    @model_validator(mode="before")
    @classmethod
    def _read_arte(cls, row: Any) -> Any:
        if not isinstance(row, dict) or "query_date" not in row:
            return row
        present = row.get("mail_present") or []
        inbox = row.get("inbox") or (present[0] if present else row.get("inbox_address", ""))
        kind = "multi" if len(row.get("message_ids", ())) > 1 else "single"
        return {"kind": kind, **row, "id": str(row["id"]), "inbox": inbox, "asked_on": row["query_date"]}

    @model_validator(mode="after")
    def _consistent(self) -> Question:
        if not self.is_labelled:
            if self.answer is not None or self.message_ids:
                raise ValueError("a question without a label has no answer and no message_ids")
            return self
        if self.answerable and not self.message_ids:
            raise ValueError("an answerable question needs message_ids")
        if self.answerable == (self.kind == "unanswerable"):
            raise ValueError("kind 'unanswerable' and answerable=false go together")
        return self

    @model_serializer(mode="wrap")
    def _row(self, make: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is so by rule is not written: files and their hashes stay as they were."""
        row: dict[str, Any] = make(self)
        if self.is_labelled:
            row.pop("is_labelled", None)
        if not self.answer_type:
            row.pop("answer_type", None)
        return row

    @property
    def as_of(self) -> datetime | None:
        """Last visible instant: the end of the day it was asked on, UTC; None without a date."""
        return None if self.asked_on is None else datetime.combine(self.asked_on, time.max, UTC)


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a JSON Lines file; raises UsageError naming the first bad line."""
    if not path.is_file():
        raise UsageError(20, "no such question file", where=str(path), next_step="give a JSON Lines file of questions")
    questions = [_parse_line(path, number, line) for number, line in _lines(path)]
    if not questions:
        raise UsageError(21, "the file holds no questions", where=str(path), next_step="write one JSON object a line")
    return questions


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write one JSON object a line; the inverse of `read_questions`."""
    with path.open("w", encoding="utf-8") as file:
        for question in questions:
            file.write(question.model_dump_json(exclude_defaults=False) + "\n")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except UnicodeDecodeError as error:
        raise UsageError(22, "the question file is not UTF-8 text", where=str(path)) from error


def _parse_line(path: Path, number: int, line: str) -> Question:
    try:
        return Question.model_validate(json.loads(line))
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "not JSON"
        where, next_step = f"{path}:{number}", "see README, Questions"
        raise UsageError(23, f"not a question: {reason}", where=where, next_step=next_step) from error


def spread_evenly(questions: Sequence[Question], count: int) -> list[Question]:
    """Return at most `count` questions, taken evenly over all and in their order."""
    number = min(count, len(questions))
    return [questions[place * len(questions) // number] for place in range(number)]
