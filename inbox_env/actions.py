"""What a policy does and what it sees: the words of one turn.

Made by policies (`ToolCall`, `InvalidToolCall`) and by the environment (`Opening`, `ToolResult`, `Observation`);
consumed by the environment, the trajectory and the rewards. Knows nothing of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any


class StopReason(StrEnum):
    """Why an episode ended."""

    ANSWERED = "answered"
    GAVE_UP = "gave_up"  # answered with null: "I don't know"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    INVALID_CALLS = "invalid_calls"
    DEADLINE = "deadline"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Opening:
    """The first thing a policy sees: made by `InboxEnv.opening`, rendered by prompts and chat formats."""

    question_id: str
    question: str
    owner: str
    asked_on: date | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the policy wrote it; arguments are checked by the tool, not here."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """Policy output that is no call: `reason` is shown to the policy, `raw` is kept for the record."""

    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class Action:
    """One turn of the policy: its calls in order, and the text around them."""

    calls: tuple[ToolCall | InvalidToolCall, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What one call gave: text for the policy, and for the rewards the Message-IDs that it listed or opened."""

    name: str
    content: str
    listed: tuple[str, ...] = ()  # Message-IDs of search hits shown, best first
    opened: tuple[str, ...] = ()  # Message-IDs whose body was shown
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What the policy sees after a turn; `stop_reason` is set when the episode is over."""

    results: tuple[ToolResult, ...] = ()
    stop_reason: StopReason | None = None


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """What `return_final_answer` was given: `answer` None means "I don't know"; sources are Message-IDs.

    `unknown_sources` are ids that name no visible mail, kept as written.
    """

    answer: str | None
    sources: tuple[str, ...] = ()
    unknown_sources: tuple[str, ...] = field(default=())
