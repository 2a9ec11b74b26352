"""A sampled turn as a client is told it: text, or calls with their arguments; and text as it comes, token by token.

A turn with a broken call is told as the text that the model wrote, so that the client can say what is wrong with it.
Knows nothing of HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.chat_format import ChatFormat
from inbox_env.actions import ToolCall
from scripts.model_server.conversation import without_leading_spaces

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ToldCall:
    """A call with the name by which its result comes back."""

    id: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToldTurn:
    """What the model said, and how much was read and written for it."""

    text: str
    calls: tuple[ToldCall, ...]
    finish_reason: Finish
    num_prompt_tokens: int
    num_tokens: int


def told_parts(chat: ChatFormat, token_ids: Sequence[int], *, has_tools: bool) -> tuple[str, tuple[ToolCall, ...]]:
    """Return the text and the calls of a turn; without tools, or with a call that is none, all of it is text."""
    if has_tools:
        action = chat.parse(token_ids)
        calls = tuple(call for call in action.calls if isinstance(call, ToolCall))
        if len(calls) == len(action.calls):
            if chat.has_spaced_strings:
                calls = tuple(ToolCall(call.name, without_leading_spaces(call.arguments)) for call in calls)
            return action.text, calls
    return chat.decode(said_ids(chat, token_ids)), ()


def said_ids(chat: ChatFormat, token_ids: Sequence[int]) -> Sequence[int]:
    """Return the tokens without the one that ended the turn."""
    return token_ids[:-1] if token_ids and token_ids[-1] in chat.stop_token_ids else token_ids


def name_calls(calls: Sequence[ToolCall]) -> tuple[ToldCall, ...]:
    """Return the calls, each with a name of its own."""
    return tuple(ToldCall(f"call_{secrets.token_hex(8)}", call) for call in calls)


class TextStream:
    """Text of tokens as they come: `add` returns what a token completes, which may be nothing."""

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat
        self._ids: list[int] = []
        self._start = self._told = 0  # a token's text may depend on the one before it

    def add(self, token_id: int) -> str:
        """Return the new text; half a character waits for its other half."""
        if token_id in self._chat.stop_token_ids:
            return ""
        self._ids.append(token_id)
        before = self._chat.decode(self._ids[self._start : self._told])
        now = self._chat.decode(self._ids[self._start :])
        if now.endswith("\ufffd") or len(now) <= len(before):
            return ""
        self._start, self._told = self._told, len(self._ids)
        return now[len(before) :]


class StopFinder:
    """Finds the first of some strings in a text that grows; `held` is text that may yet become one of them."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self.held = ""
        self.is_found = False

    def add(self, text: str) -> str:
        """Return the text that surely stands before any of the strings."""
        if self.is_found:
            return ""
        text = self.held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_found, self.held = True, ""
            return text[: min(places)]
        num_held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self.held = text[len(text) - num_held :]
        return text[: len(text) - num_held]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` begin `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
