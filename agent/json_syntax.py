"""Tool calls that are JSON: after Mistral's bracketed token, bare as Llama 3 writes them, or in a code fence.

Knows nothing of which model uses which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.tool_calls import (
    MAX_CALL_CHARS,
    Call,
    Parsed,
    Piece,
    call_pieces,
    find_loose_calls,
    joined,
    merged,
    named_pieces,
    parse_call,
    parse_calls,
    value_end,
    with_arguments,
)
from inbox_env.actions import InvalidToolCall, ToolCall

PYTHON_TAG = "<|python_tag|>"
_BRACKET = "[TOOL_CALLS]"
_NAME = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*(?=\{)")
_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class NamedBracket:
    """A name and its arguments between bracketed tokens."""

    example: str = "[TOOL_CALLS]NAME[ARGS]{...}"
    marks: tuple[str, ...] = ("[ARGS]", "[TOOL_CALLS]", "[CALL_ID]")

    def parse(self, text: str) -> Parsed:
        """Return the calls of both bracketed syntaxes."""
        return _parse_bracketed(text)

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls one after the other."""
        return merged(
            piece for call in calls for piece in call_pieces(f"[TOOL_CALLS]{call.name}[ARGS]", call.arguments, "")
        )


@dataclass(frozen=True, slots=True)
class ListBracket:
    """A JSON list of calls after one token; `space` is what some templates put between."""

    space: str = ""
    example: str = '[TOOL_CALLS][{"name": ..., "arguments": {...}}]'
    marks: tuple[str, ...] = ("[TOOL_CALLS]",)

    def parse(self, text: str) -> Parsed:
        """Return the calls of both bracketed syntaxes."""
        return _parse_bracketed(text)

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls in one list."""
        inside = joined(", ", [named_pieces(call, "arguments", "", "") for call in calls])
        return merged([Piece(f"[TOOL_CALLS]{self.space}[", True), *inside, Piece("]", True)])


@dataclass(frozen=True, slots=True)
class BareJson:
    """Objects without anything around them; `key` is what the model calls its arguments."""

    key: str = "parameters"
    tag: str = ""
    example: str = '{"name": ..., "parameters": {...}}'
    marks: tuple[str, ...] = ()

    def parse(self, text: str) -> Parsed:
        """Return the objects that have a name and arguments; a text that begins like one but is none is invalid."""
        text = text.replace(PYTHON_TAG, "").strip()
        found = find_loose_calls(text)
        return Parsed((parse_call(text),), "") if not found.calls and text.startswith("{") else found

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls with semicolons between them."""
        return merged([Piece(self.tag, True), *joined("; ", [named_pieces(call, self.key, "", "") for call in calls])])


@dataclass(frozen=True, slots=True)
class FencedJson:
    """A JSON object in a code fence: what any instructed model can write."""

    example: str = '```json\n{"name": ..., "arguments": {...}}\n```'
    marks: tuple[str, ...] = ("```json",)

    def parse(self, text: str) -> Parsed:
        """Return the calls, fenced or bare."""
        return find_loose_calls(text)

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return one fence a call."""
        return joined("\n", [named_pieces(call, "arguments", "```json\n", "\n```") for call in calls])


def _parse_bracketed(text: str) -> Parsed:
    """Return the calls after `[TOOL_CALLS]`, named or in lists; a broken one takes the rest of the text with it."""
    at = text.find(_BRACKET)
    if at < 0:
        return Parsed((), text.strip())
    calls: list[Call] = []
    rest = [text[:at]]
    while at >= 0:
        start = at + len(_BRACKET)
        named = _NAME.match(text, start)
        begin = named.end() if named else _first_visible(text, start)
        end = value_end(text, begin)
        if end is None:
            calls.append(InvalidToolCall(text[start:][:MAX_CALL_CHARS], "the call is not valid JSON"))
            break
        calls += [with_arguments(named[1], text[begin:end], text[start:end])] if named else parse_calls(text[begin:end])
        at = text.find(_BRACKET, end)
        rest.append(text[end:] if at < 0 else text[end:at])
    return Parsed(tuple(calls), "\n".join(part.strip() for part in rest if part.strip()))


def _first_visible(text: str, start: int) -> int:
    found = _VISIBLE.search(text, start)
    return found.start() if found else len(text)
