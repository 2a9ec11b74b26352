"""Native syntaxes of tool calls: how each family of models writes a call, read and written.

| syntax | looks like |
|---|---|
| `TaggedJson` (Hermes, Qwen) | `<tool_call>{"name": .., "arguments": {..}}</tool_call>` |
| `TaggedParameters` (Qwen3-Coder) | `<tool_call><function=NAME><parameter=KEY>..</parameter></function></tool_call>` |
| `NamedBracket` (Mistral) | `[TOOL_CALLS]NAME[ARGS]{..}` |
| `ListBracket` (older Mistral) | `[TOOL_CALLS][{"name": .., "arguments": {..}}]` |
| `BareJson` (Llama 3) | `{"name": .., "parameters": {..}}`, several separated by `;` |
| `FencedJson` | the same in a code fence, for models without a syntax of their own |

Which one a model uses is learnt from what its template makes of a call, never from a model's name. Knows nothing of
tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from pydantic_core import from_json

from agent.tool_calls import (
    MAX_CALL_CHARS,
    Call,
    Parsed,
    Piece,
    call_pieces,
    find_loose_calls,
    json_pieces,
    merged,
    parse_call,
    parse_calls,
    text_of,
    value_end,
    with_arguments,
)
from inbox_env.actions import InvalidToolCall, ToolCall
from inbox_env.tools import tool_schemas

PROBE = ToolCall("search_emails", {"keywords": ["probe"]})
_HEAD_CHARS = 20
_PYTHON_TAG = "<|python_tag|>"
_BRACKET = "[TOOL_CALLS]"
_NAME = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*(?=\{)")
_VISIBLE = re.compile(r"\S")
_NO_XML_NAME = re.compile(r"[<>\n]")


class ToolSyntax(Protocol):
    """Reads and writes calls. `parse(text of write(calls))` gives the calls back."""

    @property
    def example(self) -> str:
        """What a model that made no call is told to write."""
        ...

    @property
    def marks(self) -> tuple[str, ...]:
        """What the syntax consists of: a model that has one as a token uses it; none of them ends a turn."""
        ...

    def parse(self, text: str) -> Parsed:
        """Return the calls in a model's text; broken ones are `InvalidToolCall`."""
        ...

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls of one turn in pieces."""
        ...


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
        return _joined("\n", [_named(call, "arguments", "<tool_call>\n", "\n</tool_call>") for call in calls])


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
        return _joined("\n", [self._pieces(call) for call in calls])

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
        inside = _joined(", ", [_named(call, "arguments", "", "") for call in calls])
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
        text = text.replace(_PYTHON_TAG, "").strip()
        found = find_loose_calls(text)
        return Parsed((parse_call(text),), "") if not found.calls and text.startswith("{") else found

    def write(self, calls: Sequence[ToolCall]) -> list[Piece]:
        """Return the calls with semicolons between them."""
        return merged([Piece(self.tag, True), *_joined("; ", [_named(call, self.key, "", "") for call in calls])])


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
        return _joined("\n", [_named(call, "arguments", "```json\n", "\n```") for call in calls])


SYNTAXES: tuple[ToolSyntax, ...] = (
    TaggedParameters(),
    TaggedJson(),
    NamedBracket(),
    ListBracket(),
    ListBracket(space=" "),
    FencedJson(),
    BareJson(tag=_PYTHON_TAG),
    BareJson(),
    BareJson(key="arguments", example='{"name": ..., "arguments": {...}}'),
)


def choose_syntax(shown: str, hints: str) -> ToolSyntax:
    """Return the syntax in which a template shows `PROBE`.

    `shown` is what the template made of a turn with that call. `hints` (the opening, the added tokens) decide when
    the template does not show calls.
    """
    written = [syntax for syntax in SYNTAXES if text_of(syntax.write([PROBE])) in shown]
    read = [syntax for syntax in SYNTAXES if _has_mark(syntax, shown) and PROBE in syntax.parse(shown).calls]
    read.sort(key=lambda syntax: text_of(syntax.write([PROBE]))[:_HEAD_CHARS] not in shown)
    hinted = [syntax for syntax in SYNTAXES if syntax.marks and _has_mark(syntax, hints)]
    silent = BareJson() if _PYTHON_TAG in hints else FencedJson()
    return (written or read or hinted or [silent])[0]


def _has_mark(syntax: ToolSyntax, text: str) -> bool:
    """Whether `text` has what tells a syntax from the others (bare JSON has nothing of the kind)."""
    return all(mark in text for mark in syntax.marks[:1])


def parse_turn(syntax: ToolSyntax, text: str) -> Parsed:
    """Return the calls of a model's text: in its own syntax, else bare or fenced JSON, else one `InvalidToolCall`."""
    found = syntax.parse(text)
    if not found.calls:
        found = find_loose_calls(text)
    if not found.calls:
        missing = InvalidToolCall(text, f"no tool call found: write {syntax.example}")
        return Parsed((missing,), found.rest)
    return found


def _named(call: ToolCall, key: str, before: str, after: str) -> list[Piece]:
    is_plain_name = call.name.isidentifier()
    name = [Piece(json.dumps(call.name), True)] if is_plain_name else list(json_pieces(call.name, "</tool_call"))
    head = merged([Piece(before + '{"name": ', True), *name, Piece(f', "{key}": ', True)])
    return merged([*head, *call_pieces("", call.arguments, "}" + after, closers="</tool_call")])


def _joined(separator: str, parts: Sequence[list[Piece]]) -> list[Piece]:
    pieces: list[Piece] = []
    for number, part in enumerate(parts):
        pieces += ([Piece(separator, True)] if number else []) + part
    return pieces


def _between(text: str, opener: str, closer: str) -> tuple[list[str], str]:
    """Return what stands between openers and the closers that follow them, and the rest of the text."""
    inside, rest, at = [], [], 0
    while (start := text.find(opener, at)) >= 0 and (end := text.find(closer, start + len(opener))) >= 0:
        inside.append(text[start + len(opener) : end])
        rest.append(text[at:start])
        at = end + len(closer)
    return inside, ("".join(rest) + text[at:]).strip()


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
