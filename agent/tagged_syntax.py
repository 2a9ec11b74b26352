"""Tool calls between XML-like tags: Hermes' and Qwen's JSON, Qwen3-Coder's parameters.

Knows nothing of which model uses which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic_core import from_json

from agent.tool_calls import (
    MAX_CALL_CHARS,
    Call,
    Parsed,
    Piece,
    joined,
    json_pieces,
    merged,
    named_pieces,
    parse_call,
    parse_calls,
)
from inbox_env.actions import InvalidToolCall, ToolCall
from inbox_env.tools import tool_schemas

_NO_XML_NAME = re.compile(r"[<>\n]")


@dataclass(frozen=True, slots=True)
class TaggedJson:
    """JSON between `<tool_call>` tags."""

    example: str = "<tool_call>{...}</tool_call>"
    marks: tuple[str, ...] = ("<tool_call>", "</tool_call>")

    def parse(self, text: str) -> Parsed:
        """Return the calls between tags."""
        inside, rest = _between(text, "<tool_call>", "</tool_call>")
        return Parsed(tuple(call for part in inside for call in parse_calls(part.strip())), rest)

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return one tagged object a call, a line break between them."""
        return joined("\n", [named_pieces(call, "arguments", "<tool_call>\n", "\n</tool_call>") for call in calls])


@dataclass(frozen=True, slots=True)
class TaggedParameters:
    """One tag a parameter: strings as they are, everything else as JSON.

    A parameter that takes strings only is read as one, so that an answer of `42` stays text.
    """

    example: str = "<tool_call><function=NAME><parameter=KEY>...</parameter></function></tool_call>"
    marks: tuple[str, ...] = ("<function=", "</function>", "<parameter=", "</parameter>", "<tool_call>", "</tool_call>")

    def parse(self, text: str) -> Parsed:
        """Return the calls between function tags."""
        inside, rest = _between(text, "<function=", "</function>")
        rest = rest.replace("<tool_call>", "").replace("</tool_call>", "").strip()
        return Parsed(tuple(map(self._call, inside)), rest)

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls, a line break between them; raises ValueError for names that no tag can hold."""
        return joined("\n", [self._pieces(call) for call in calls])

    def _call(self, text: str) -> Call:
        if len(text) > MAX_CALL_CHARS:
            return InvalidToolCall(text[:200], f"the call is longer than {MAX_CALL_CHARS} characters")
        name, closed, body = text.partition(">")
        name = name.strip()
        if not closed or not name:
            return InvalidToolCall(text, "the call needs a function name")
        arguments: dict[str, Any] = {}
        while (start := body.find("<parameter=")) >= 0:
            key, closed, rest = body[start + len("<parameter=") :].partition(">")
            value, ended, body = rest.partition("</parameter>")
            if not closed or not ended:
                return InvalidToolCall(text, "a parameter is not closed")
            arguments[key.strip()] = _read_value(name, key.strip(), value.removeprefix("\n").removesuffix("\n"))
        return parse_call(json.dumps({"name": name, "arguments": arguments}))

    def _pieces(self, call: ToolCall) -> list[Piece]:
        pieces = [Piece(f"<tool_call>\n<function={call.name}>\n", True)]
        for key, value in call.arguments.items():
            if _NO_XML_NAME.search(key):
                raise ValueError("a parameter's name has no canonical form")
            pieces.append(Piece(f"<parameter={key}>\n", True))
            pieces += _value_pieces(call.name, key, value)
            pieces.append(Piece("\n</parameter>\n", True))
        return merged([*pieces, Piece("</function>\n</tool_call>", True)])


def _between(text: str, opener: str, closer: str) -> tuple[list[str], str]:
    """Return what stands between openers and the closers that follow them, and the rest of the text."""
    inside, rest, at = [], [], 0
    while (start := text.find(opener, at)) >= 0 and (end := text.find(closer, start + len(opener))) >= 0:
        inside.append(text[start + len(opener) : end])
        rest.append(text[at:start])
        at = end + len(closer)
    return inside, ("".join(rest) + text[at:]).strip()


@cache
def _text_parameters() -> frozenset[tuple[str, str]]:
    """Return the tools' parameters that take strings (or null) and nothing else."""
    functions = [schema["function"] for schema in tool_schemas()]
    forms = ((f["name"], key, form) for f in functions for key, form in f["parameters"]["properties"].items())
    is_text = {(name, key): {o.get("type") for o in form.get("anyOf", [form])} for name, key, form in forms}
    return frozenset(place for place, types in is_text.items() if types <= {"string", "null"})


def _read_value(name: str, key: str, text: str) -> Any:
    is_json_string = len(text) > 1 and text[0] == text[-1] == '"'
    if (name, key) in _text_parameters() and not is_json_string:
        return None if text.strip() in ("null", "None") else text
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def _value_pieces(name: str, key: str, value: Any) -> list[Piece]:
    if isinstance(value, str) and "</" not in value and _read_value(name, key, value) == value:
        return [Piece(value, False)]
    return list(json_pieces(value, "</"))
