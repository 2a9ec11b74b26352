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

from collections.abc import Sequence
from typing import Protocol

from agent.json_syntax import PYTHON_TAG, BareJson, FencedJson, ListBracket, NamedBracket
from agent.tagged_syntax import TaggedJson, TaggedParameters
from agent.tool_calls import Parsed, Piece, find_loose_calls, text_of
from inbox_env.actions import InvalidToolCall, ToolCall

PROBE = ToolCall("search_emails", {"keywords": ["probe"]})
_HEAD_CHARS = 20


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


SYNTAXES: tuple[ToolSyntax, ...] = (
    TaggedParameters(),
    TaggedJson(),
    NamedBracket(),
    ListBracket(),
    ListBracket(space=" "),
    FencedJson(),
    BareJson(tag=PYTHON_TAG),
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
    silent = BareJson() if PYTHON_TAG in hints else FencedJson()
    return (written or read or hinted or [silent])[0]


def _has_mark(syntax: ToolSyntax, text: str) -> bool:
    """Whether `text` has what tells a syntax from the others (bare JSON has nothing of the kind)."""
    return all(mark in text for mark in syntax.marks[:1])


def parse_turn(syntax: ToolSyntax, text: str) -> Parsed:
    """Return the calls of a model's text: in its own syntax, else as JSON, else one `InvalidToolCall`.

    JSON of a model with another syntax counts only when the text begins with it: in prose it may be a quoted mail.
    """
    found = syntax.parse(text)
    if not found.calls and text.lstrip().startswith(("{", "[", "```")):
        found = find_loose_calls(text)
    if not found.calls:
        missing = InvalidToolCall(text, f"no tool call found: write {syntax.example}")
        return Parsed((missing,), found.rest)
    return found
