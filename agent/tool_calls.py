"""Tool calls as JSON text: reading one, finding them in loose text, and writing one in pieces.

A piece is either trusted (the syntax around) or plain (a string of the call, which may come from mail and must not
become a control token). Knows nothing of chat templates or tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from inbox_env.actions import InvalidToolCall, ToolCall

Call = ToolCall | InvalidToolCall

MAX_CALL_CHARS = 65_536
_MAX_NESTING = 16  # a call is kept inside a trajectory, which JSON readers refuse beyond a depth
_MAX_TRIES = 64  # of finding JSON in loose text: every try reads on, so that hostile text would cost its square
_DECODER = json.JSONDecoder()
_FENCE = re.compile(r"```[a-z]*[ \t]*\n?")
_WRAPPERS = ("name", "arguments", "parameters")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a written call; `is_trusted`: its special tokens count as such."""

    text: str
    is_trusted: bool


@dataclass(frozen=True, slots=True)
class Parsed:
    """The calls found in a text, in order, and the text around them."""

    calls: tuple[Call, ...]
    rest: str


def parse_call(text: str) -> Call:
    """Return the call that the JSON `text` describes: {"name": ..., "arguments" or "parameters": ...}.

    Whatever a trajectory file could not hold (half a surrogate pair, deep nesting, megabytes) is no call either.
    """
    if len(text) > MAX_CALL_CHARS:
        return InvalidToolCall(text[:200], f"the call is longer than {MAX_CALL_CHARS} characters")
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return InvalidToolCall(text, "the call is not valid JSON")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return InvalidToolCall(text, 'the call needs "name" and "arguments"')
    return with_arguments(value["name"], value.get("arguments", value.get("parameters", {})), text)


def with_arguments(name: str, arguments: Any, raw: str) -> Call:
    """Return the call of tool `name`; `arguments` is an object or its JSON text, `raw` is kept of an invalid call."""
    if isinstance(arguments, str):
        if len(arguments) > MAX_CALL_CHARS:
            return InvalidToolCall(raw[:200], f"the call is longer than {MAX_CALL_CHARS} characters")
        try:
            arguments = from_json(arguments, allow_inf_nan=False)
        except ValueError:
            return InvalidToolCall(raw, "the arguments are not valid JSON")
    if not isinstance(arguments, dict):
        return InvalidToolCall(raw, '"arguments" must be an object')
    if _depth(arguments) > _MAX_NESTING:
        return InvalidToolCall(raw, "the call is nested too deeply")
    return ToolCall(name, arguments)


def parse_calls(text: str) -> list[Call]:
    """Return the call of `text`, or the calls of a JSON list of them."""
    if not text.startswith("["):
        return [parse_call(text)]
    spans = list(_elements(text))
    return [parse_call(text[start:end]) for start, end in spans] if spans else [parse_call(text)]


def value_end(text: str, start: int) -> int | None:
    """Return where the JSON value that begins at `start` ends; None when there is none."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def find_loose_calls(text: str) -> Parsed:
    """Return the calls that stand bare or fenced in `text`: objects with a name and arguments."""
    calls: list[Call] = []
    rest: list[str] = []
    at = tries = 0
    while (start := text.find("{", at)) >= 0 and tries < _MAX_TRIES:
        tries += 1
        end = value_end(text, start)
        call = None if end is None else parse_call(text[start:end])
        if end is not None and call is not None and _looks_like_call(text[start:end]):
            calls.append(call)
            rest.append(text[at:start])
            at = end
        else:
            rest.append(text[at : start + 1])
            at = start + 1
    rest.append(text[at:])
    if not calls:
        return Parsed((), text.strip())
    around = (_FENCE.sub("", part).strip(" \t\r\n;,[]") for part in rest)
    return Parsed(tuple(calls), "\n".join(part for part in around if part))


def call_pieces(head: str, arguments: dict[str, Any], tail: str, *, closers: str = "") -> list[Piece]:
    """Return `head`, the arguments as JSON and `tail`; no string in it can seem to be `closers`."""
    return merged([Piece(head, True), *json_pieces(arguments, closers), Piece(tail, True)])


def json_pieces(value: Any, closers: str = "") -> Iterator[Piece]:
    """Yield `value` as `json.dumps` writes it, its strings as plain pieces."""
    if isinstance(value, str):
        yield from _string_pieces(value, closers)
    elif isinstance(value, dict):
        yield Piece("{", True)
        for number, (key, item) in enumerate(value.items()):
            yield Piece(", " if number else "", True)
            yield from [Piece(json.dumps(key), True)] if str(key).isidentifier() else _string_pieces(str(key), closers)
            yield Piece(": ", True)
            yield from json_pieces(item, closers)
        yield Piece("}", True)
    elif isinstance(value, list | tuple):
        yield Piece("[", True)
        for number, item in enumerate(value):
            yield Piece(", " if number else "", True)
            yield from json_pieces(item, closers)
        yield Piece("]", True)
    else:
        yield Piece(json.dumps(value), True)


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces with neighbouring trusted ones joined, so that they are cut into tokens as one text."""
    result: list[Piece] = []
    for piece in pieces:
        if result and piece.is_trusted and result[-1].is_trusted:
            result[-1] = Piece(result[-1].text + piece.text, True)
        else:
            result.append(piece)
    return result


def named_pieces(call: ToolCall, key: str, before: str, after: str) -> list[Piece]:
    """Return a call as an object with a name and, under `key`, its arguments; `before` and `after` stand around."""
    is_plain_name = call.name.isidentifier()
    name = [Piece(json.dumps(call.name), True)] if is_plain_name else list(json_pieces(call.name, "</tool_call"))
    head = merged([Piece(before + '{"name": ', True), *name, Piece(f', "{key}": ', True)])
    return merged([*head, *call_pieces("", call.arguments, "}" + after, closers="</tool_call")])


def joined(separator: str, parts: Sequence[list[Piece]]) -> list[Piece]:
    """Return the parts with `separator` between them."""
    pieces: list[Piece] = []
    for number, part in enumerate(parts):
        pieces += ([Piece(separator, True)] if number else []) + part
    return pieces


def text_of(pieces: Iterable[Piece]) -> str:
    """Return what the pieces say."""
    return "".join(piece.text for piece in pieces)


def _string_pieces(text: str, closers: str) -> Iterator[Piece]:
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    if closers:
        written = written.replace(closers, closers.replace("/", "\\/"))
    yield Piece('"', True)
    yield Piece(written, False)
    yield Piece('"', True)


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the objects of a list begin and end, up to the first thing that is none."""
    at = 1
    while (start := text.find("{", at)) >= 0 and not text[at:start].strip(" \t\r\n,"):
        end = value_end(text, start)
        if end is None:
            return
        yield start, end
        at = end


def _looks_like_call(text: str) -> bool:
    value = _DECODER.decode(text)
    return isinstance(value.get("name"), str) and len(value.keys() & set(_WRAPPERS)) > 1


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, items), default=0)
