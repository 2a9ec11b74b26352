"""A tokenizer's own chat template, asked in the one way that all of them understand.

Bridges what templates disagree on: a missing system or tool role, tools that are not shown, ids of calls, a switch for
thinking, and today's date, which comes with the question and never from the clock. Knows nothing of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from agent.json_syntax import FencedJson
from agent.prompts import tools_prompt
from agent.tool_syntax import PROBE, ToolSyntax, choose_syntax
from inbox_env.errors import UsageError
from inbox_env.tools import tool_schemas

Message = dict[str, Any]

# What a template may raise on messages that it does not know.
FAILURES = (TemplateError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
_THINKING_SWITCHES = ("enable_thinking", "thinking")
_CALL_ID = "mailcall{}"  # nine characters: what Mistral's templates insist on
# A rollout must not depend on the day on which it is run, and the system prompt says which day it is asked on.
_TODAY = "see below"
_NO_CLOCK = "{%- macro strftime_now(format) -%}" + _TODAY + "{%- endmacro -%}"


class ChatTemplate:
    """Renders conversations; `syntax` is the one in which the template shows tool calls.

    A template that shows no tools, or calls in a syntax that is not known here, gets a description of the tools and of
    how to call them after the system's words.

    Without `has_system_role` the system's words precede the user's; without `has_tool_role` the user says the results.
    The constructor and `render` raise whatever a template raises (`FAILURES`).
    """

    def __init__(
        self,
        tokenizer: Any,
        enable_thinking: bool | None = None,
        *,
        has_system_role: bool = True,
        has_tool_role: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._has_system_role, self._has_tool_role = has_system_role, has_tool_role
        source = tokenizer.get_chat_template(tools=tool_schemas())
        self._source = _NO_CLOCK + source if "strftime_now" in source else source
        self._switches: dict[str, Any] = {"date_string": _TODAY}
        if enable_thinking is not None:
            self._switches |= self._thinking_switch(enable_thinking)
        self._tools = ""
        added = "\n".join(token.content for token in tokenizer.added_tokens_decoder.values())
        opening = self.render(self.opening("s", "u"), is_open=True)
        self.syntax: ToolSyntax = choose_syntax(self._shown_call(), opening + added)
        names = [schema["function"]["name"] for schema in tool_schemas()]
        is_shown = all(name in opening for name in names) and not isinstance(self.syntax, FencedJson)
        # A model with tokens for its tools was trained on them and needs no description.
        if not is_shown and not any(name in added for name in names):
            self._tools = tools_prompt(self.syntax.example)

    def opening(self, system: str, user: str) -> list[Message]:
        """Return the messages of an opening."""
        system += f"\n\n{self._tools}" if self._tools else ""
        if self._has_system_role:
            return [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return [{"role": "user", "content": f"{system}\n\n{user}"}]

    def said(self, text: str) -> Message:
        """Return a turn of the policy that says `text`."""
        return {"role": "assistant", "content": text}

    def called(self, text: str) -> Message:
        """Return a turn of the policy that calls a tool with `text` among the arguments."""
        function = {"name": PROBE.name, "arguments": {"keywords": [text]}}
        call = {"id": _CALL_ID.format(0), "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    def results(self, texts: Sequence[str]) -> list[Message]:
        """Return the results of one turn's calls."""
        if not self._has_tool_role:
            return [{"role": "user", "content": "\n\n".join(texts)}]
        return [
            {"role": "tool", "name": PROBE.name, "content": text, "tool_call_id": _CALL_ID.format(number % 10)}
            for number, text in enumerate(texts)
        ]

    def replies(self, results: Sequence[str], said: Sequence[str]) -> list[Message]:
        """Return what follows a turn: the results of its calls, then what the user says."""
        if not self._has_tool_role:
            return [{"role": "user", "content": "\n\n".join((*results, *said))}]
        return [*self.results(results), *({"role": "user", "content": text} for text in said)]

    def render(self, messages: list[Message], *, is_open: bool) -> str:
        """Return the conversation as text; `is_open`: up to where the policy speaks."""
        options = {"tools": tool_schemas(), "add_generation_prompt": is_open, "tokenize": False}
        text = self._tokenizer.apply_chat_template(messages, chat_template=self._source, **options, **self._switches)
        return str(text)

    def _thinking_switch(self, value: bool) -> dict[str, bool]:
        found = {name: value for name in _THINKING_SWITCHES if re.search(rf"\b{name}\b", self._source)}
        if not found:
            what, where = "the chat template has no switch for thinking", str(self._tokenizer.name_or_path)
            raise UsageError(44, what, where=where, next_step="leave the option out")
        return found

    def _shown_call(self) -> str:
        """Return what the template makes of a turn with a call; empty when it cannot show any."""
        start = self.opening("s", "u")
        try:
            before = self.render(start, is_open=False)
            shown = self.render([*start, self.called(PROBE.arguments["keywords"][0])], is_open=False)
        except FAILURES:
            return ""
        return shown.removeprefix(before)
