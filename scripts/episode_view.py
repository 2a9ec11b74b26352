"""An episode as a person follows it in a terminal: every turn as it happens, the answer with its mails, the reward.

Prints text of mails and models only after `terminal.safe`. Knows nothing of how a policy decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from inbox_env.actions import StopReason
from inbox_env.emails import Email
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.base import Reward
from scripts.mail_view import day
from scripts.terminal import safe, safe_line

MAX_RESULT_LINES = 12
MAX_TEXT_CHARS = 300
FINAL_TOOL = "return_final_answer"

_ENDINGS = {
    StopReason.GAVE_UP: "I don't know",
    StopReason.MAX_TURNS: "no answer: out of turns",
    StopReason.MAX_TOKENS: "no answer: out of tokens",
    StopReason.INVALID_CALLS: "no answer: too many invalid calls",
    StopReason.DEADLINE: "no answer: out of time",
}


class EpisodeView:
    """Prints one episode; `on_turn` is handed to `agent.rollout.rollout`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._num_turns = 0

    def question(self, question: Question) -> None:
        """Print what is asked."""
        asked = f" (asked on {question.asked_on})" if question.asked_on else ""
        self._print(("question  ", "bold"), safe_line(question.question), (asked, "dim"))

    def on_turn(self, turn: Turn) -> None:
        """Print one turn: each call, how long the policy took, and what came back."""
        self._num_turns += 1
        cost = f"  {turn.seconds:.2f} s" + (f", {turn.num_tokens} tokens" if turn.num_tokens else "")
        for position, result in enumerate(turn.results):
            head = f"{self._num_turns:>2}  " if position == 0 else "    "
            self._print((head, "bold"), (call_line(result), "cyan"), (cost if position == 0 else "", "dim"))
            if result.name != FINAL_TOOL:
                self._result(result)
        if not turn.results:
            self._print((f"{self._num_turns:>2}  ", "bold"), safe_line(turn.text, MAX_TEXT_CHARS), (cost, "dim"))

    def ending(self, trajectory: Trajectory, sources: Sequence[tuple[int, Email]]) -> None:
        """Print the answer with the mails that it cites, or why there is none."""
        self._print(("answer    ", "bold"), (ending_line(trajectory), "bold green"))
        for number, email in sources:
            people = safe_line(f"{day(email.date)} {email.sender.name or email.sender.email}")
            self._print(f"          mail {number}: {people}: {safe_line(email.subject, 80)}")
        for unknown in trajectory.unknown_sources:
            self._print(f"          cites {safe_line(unknown, 80)}, which is no mail of this inbox")
        num_calls = sum(len(turn.results) for turn in trajectory.turns)
        self._print((f"          {len(trajectory.turns)} turns, {num_calls} calls, {trajectory.seconds:.1f} s", "dim"))

    def reward(self, question: Question, reward: Reward) -> None:
        """Print the gold answer and the reward with its parts."""
        gold = "nothing in this inbox answers it" if question.answer is None else safe_line(question.answer)
        self._print(("gold      ", "bold"), gold)
        if reward.value is None:
            self._print(("reward    ", "bold"), f"none: {safe_line(reward.reason, MAX_TEXT_CHARS)}")
            return
        parts = ", ".join(f"{name} {value:+.2f}" for name, value in reward.parts.items())
        self._print(("reward    ", "bold"), (f"{reward.value:+.2f}", "bold"), f"  = {parts}")

    def _result(self, result: ToolResultRecord) -> None:
        lines = [line for line in safe(result.content).splitlines() if line.strip()]
        for line in lines[:MAX_RESULT_LINES]:
            self._print("      ", (safe_line(line, MAX_TEXT_CHARS), "red" if result.is_error else "dim"))
        if len(lines) > MAX_RESULT_LINES:
            self._print("      ", (f"... {len(lines) - MAX_RESULT_LINES} more lines", "dim"))

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(Text.assemble(*parts))


def call_line(result: ToolResultRecord) -> str:
    """Return a call as one safe line: `search_emails(keywords=["budget", "2001"])`."""
    if result.arguments is None:
        return "no valid call"
    arguments = ", ".join(f"{name}={_value(value)}" for name, value in result.arguments.items())
    return safe_line(f"{result.name}({arguments})", MAX_TEXT_CHARS)


def ending_line(trajectory: Trajectory) -> str:
    """Return the answer, or why there is none."""
    if trajectory.stop_reason is StopReason.ANSWERED:
        return safe_line(trajectory.answer or "", MAX_TEXT_CHARS)
    if trajectory.stop_reason is StopReason.ERROR:
        return f"no answer: {safe_line(trajectory.error, MAX_TEXT_CHARS)}"
    return _ENDINGS[trajectory.stop_reason]


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
