"""InboxEnv: one episode of one question in one inbox. It says what happened, never what it was worth.

Knows nothing of policies, tokens or rewards.
"""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from inbox_env.actions import (
    Action,
    FinalAnswer,
    InvalidToolCall,
    Observation,
    Opening,
    StopReason,
    ToolCall,
    ToolResult,
)
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import Match
from inbox_env.tools import Toolbox


class Tools(Protocol):
    """What carries out the calls of an episode: the three tools, whatever their arguments are called."""

    def execute(self, call: ToolCall) -> ToolResult | FinalAnswer:
        """Return what a call gave; a wrong call gives an error result."""
        ...


NO_CALL = InvalidToolCall("", "no tool call found")


class EnvLimits(BaseModel):
    """How long an episode may be and how much a result shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_turns: int = Field(default=10, ge=1)
    """Turns before the episode ends with `max_turns`."""
    max_invalid_calls: int = Field(default=3, ge=1)
    """Invalid calls, over all turns, at which the episode ends with `invalid_calls`."""
    style: ResultStyle = ResultStyle()
    """How search results and mails look."""
    match: Match = "all"
    """Whether a search must find all keywords of a call or any of them (for a baseline)."""


class InboxEnv:
    """One episode; single use. `final` is set once the policy has answered or given up."""

    def __init__(self, inbox: Inbox, question: Question, limits: EnvLimits, tools: Tools | None = None) -> None:
        if question.inbox != inbox.name:
            raise ValueError(f"question {question.id} is about inbox {question.inbox!r}, not {inbox.name!r}")
        self.question = question
        self.limits = limits
        self.final: FinalAnswer | None = None
        self.stop_reason: StopReason | None = None
        self.num_turns = 0
        self.num_invalid_calls = 0
        self._owner = str(inbox.owner)
        self._tools = tools or Toolbox(inbox, question.as_of, limits.style, limits.match)

    def opening(self) -> Opening:
        """Return what the policy is told before its first turn."""
        question = self.question
        return Opening(question.id, question.question, self._owner or question.inbox_address, question.asked_on)

    def step(self, action: Action) -> Observation:
        """Return the results of all calls of one turn, in order, up to the one that ended the episode.

        Raises RuntimeError when the episode is over.
        """
        if self.stop_reason is not None:
            raise RuntimeError(f"the episode is over: {self.stop_reason}")
        self.num_turns += 1
        results = []
        for call in action.calls or (NO_CALL,):
            results.append(self._execute(call))
            if self.stop_reason is not None:
                break
        if self.stop_reason is None and self.num_turns >= self.limits.max_turns:
            self.stop_reason = StopReason.MAX_TURNS
        return Observation(tuple(results), self.stop_reason)

    def _execute(self, call: ToolCall | InvalidToolCall) -> ToolResult:
        if isinstance(call, InvalidToolCall):
            outcome: ToolResult | FinalAnswer = ToolResult("invalid_call", f"error: {call.reason}", is_error=True)
        else:
            outcome = self._tools.execute(call)
        if isinstance(outcome, FinalAnswer):
            self.final = outcome
            self.stop_reason = StopReason.GAVE_UP if outcome.answer is None else StopReason.ANSWERED
            return ToolResult("return_final_answer", "accepted")
        self.num_invalid_calls += outcome.is_error
        if self.num_invalid_calls >= self.limits.max_invalid_calls:
            self.stop_reason = StopReason.INVALID_CALLS
        return outcome
