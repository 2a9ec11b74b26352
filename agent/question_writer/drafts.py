"""What a model may reply while it writes and proves questions: strict JSON, closed to anything else.

A reply that is not of its shape is asked for again; a single draft that is not is rejected alone. What a mail says
cannot add a field, a kind, or a mail that was not shown. Knows nothing of prompts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_DRAFTS = 12
MAX_SEARCHES = 4
DraftKind = Literal["single", "several", "correction", "unanswerable"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Keyword = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Quote(_Reply):
    """Words of one of the mails shown, by its place from 1."""

    mail: int = Field(ge=1)
    words: Words


class Draft(_Reply):
    """A question as the model wrote it; `near` is the mail that an unanswerable one is nearly about.

    What is null may be left out, and the other way round.
    """

    kind: DraftKind
    question: Text
    answer: Text | None = None
    accepted: tuple[Text, ...] = Field(default=(), max_length=6)
    quotes: tuple[Quote, ...] = Field(default=(), max_length=6)
    near: int | None = Field(default=None, ge=1)


class DraftsReply(_Reply):
    """The drafts of one batch, each to be read by itself."""

    drafts: tuple[dict[str, Any], ...] = Field(max_length=MAX_DRAFTS)


class SearchesReply(_Reply):
    """How somebody who only knows the question would search, and how likely its owner is to ask it."""

    realism: float = Field(ge=0, le=1)
    searches: tuple[Annotated[tuple[Keyword, ...], Field(min_length=1, max_length=8)], ...] = Field(
        min_length=1, max_length=MAX_SEARCHES
    )


class SolutionReply(_Reply):
    """What the mails found say: the answer (None: they do not say) and the places of the mails that say it."""

    answer: Text | None
    mails: tuple[int, ...] | None = Field(default=(), max_length=16)
