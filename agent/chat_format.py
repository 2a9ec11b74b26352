"""Chat format: messages to tokens and tokens to tool calls, for one tokenizer and its chat template.

Token-in, token-out: a conversation grows by appending ids (`prompt_ids`, then sampled ids, then
`observation_ids`), nothing is decoded and encoded again. Untrusted text (mail, questions, tool results) is
encoded as plain text, so that a mail holding `<|end|>` cannot end a turn. Needs `transformers`, not torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inbox_env.actions import Action, InvalidToolCall, ToolCall
from inbox_env.errors import CorruptError, UsageError

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_MARK = "\ue100{}\ue101"
_MARKED = re.compile("\ue100(\\d+)\ue101")
_STRING_SLOT = "\ue102"


class ChatFormat:
    """Renders and parses the conversation of one model.

    `has_spaced_strings`: strings inside calls start with a space, so that a copied name keeps the token
    sequence it has in running text (read from the tokenizer's own configuration).
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.has_spaced_strings = bool(tokenizer.init_kwargs.get("spaced_strings", False))
        self._end, self._turn_glue = self._learn_turns()
        self.stop_token_ids = frozenset(self._trusted(self._end))

    @classmethod
    def load(cls, path: Path) -> ChatFormat:
        """Return the format of the tokenizer in a model folder."""
        from transformers import AutoTokenizer

        if not path.is_dir():
            raise UsageError(
                40, "no such model folder", where=str(path), next_step="give a run, checkpoint or model folder"
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise CorruptError(40, f"cannot read the tokenizer ({type(error).__name__})", where=str(path)) from error
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Write the tokenizer and its template into a model folder."""
        self._tokenizer.save_pretrained(path)

    def prompt_ids(self, system: str, user: str, tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        """Return the ids of the opening, up to where the policy begins to speak."""
        messages = [{"role": "system", "content": _MARK.format(0)}, {"role": "user", "content": _MARK.format(1)}]
        return self._encode(self._render(messages, tools, is_open=True), (system, user))

    def observation_ids(self, results: Sequence[str]) -> list[int]:
        """Return the ids that follow a sampled turn (it ended with its stop token): results, then the cue."""
        return self._encode(self._glue(len(results)), results)

    def action_ids(self, action: Action) -> list[int]:
        """Return the ids with which the policy would say `action`, stop token included; `parse` inverts it."""
        ids: list[int] = []
        for number, call in enumerate(action.calls):
            if isinstance(call, InvalidToolCall):
                raise ValueError("an invalid call has no canonical form")
            ids += self._trusted("\n") if number else []
            ids += self._call_ids(call)
        return ids + self._trusted(self._end)

    def call_opening_ids(self, name: str) -> list[int]:
        """Return the ids that begin a call of tool `name`: used to make a model answer now."""
        first = {"search_emails": "keywords", "read_email": "id", "return_final_answer": "answer"}[name]
        opening = f'<tool_call>\n{{"name": "{name}", "arguments": {{"{first}": '
        return self._trusted(opening + ('"' if name == "return_final_answer" else ""))

    def parse(self, token_ids: Sequence[int]) -> Action:
        """Return what the sampled ids say; text that is no call becomes an `InvalidToolCall`."""
        text = self._tokenizer.decode(list(token_ids), skip_special_tokens=False)
        text = text.removesuffix(self._end)
        calls = tuple(parse_call(match.group(1)) for match in _CALL.finditer(text))
        rest = _CALL.sub("", text).strip()
        if not calls:
            calls = (InvalidToolCall(text, "no tool call found: write <tool_call>{...}</tool_call>"),)
        return Action(calls, rest)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included (for people)."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))

    def plain_ids(self, text: str) -> list[int]:
        """Return the ids of untrusted text: strings that look like special tokens stay plain text."""
        return list(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def _call_ids(self, call: ToolCall) -> list[int]:
        strings: list[str] = []
        shape = _lift_strings(call.arguments, strings)
        arguments = json.dumps(shape, ensure_ascii=False)
        text = f'<tool_call>\n{{"name": "{call.name}", "arguments": {arguments}}}\n</tool_call>'
        ids: list[int] = []
        for number, piece in enumerate(text.split(_STRING_SLOT)):
            if number:
                space = " " if self.has_spaced_strings else ""
                ids += self.plain_ids(space + json.dumps(strings[number - 1], ensure_ascii=False)[1:-1])
            ids += self._trusted(piece)
        return ids

    def _learn_turns(self) -> tuple[str, dict[int, str]]:
        """Return the text that ends a sampled turn, after checking that the template only ever appends."""
        opening = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
        spoken = [*opening, {"role": "assistant", "content": _MARK.format(0)}]
        prompt, whole = self._render(opening, (), is_open=True), self._render(spoken, (), is_open=False)
        after = whole.partition(_MARK.format(0))[2]
        end = self._first_special(after)
        heard = [*spoken, {"role": "tool", "content": "r"}]
        longer = self._render(heard, (), is_open=True)
        if not whole.startswith(prompt) or not longer.startswith(whole.rstrip("\n")) or not end:
            raise UsageError(
                41,
                "the chat template rewrites earlier turns (no extension property)",
                where=str(self._tokenizer.name_or_path),
                next_step="use a template in which each turn's prompt is a prefix of the next",
            )
        return end, {}

    def _glue(self, num_results: int) -> str:
        if num_results not in self._turn_glue:
            spoken = {"role": "assistant", "content": _STRING_SLOT}
            results = [{"role": "tool", "content": _MARK.format(number)} for number in range(num_results)]
            messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, spoken, *results]
            after = self._render(messages, (), is_open=True).partition(_STRING_SLOT)[2]
            self._turn_glue[num_results] = after.removeprefix(self._end)
        return self._turn_glue[num_results]

    def _first_special(self, text: str) -> str:
        specials = [token for token in self._tokenizer.all_special_tokens if text.startswith(token)]
        return max(specials, key=len, default="")

    def _render(self, messages: list[dict[str, str]], tools: Sequence[dict[str, Any]], *, is_open: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tools=list(tools) or None, add_generation_prompt=is_open, tokenize=False
            )
        )

    def _encode(self, template: str, contents: Sequence[str]) -> list[int]:
        ids: list[int] = []
        for number, piece in enumerate(_MARKED.split(template)):
            ids += self.plain_ids(contents[int(piece)]) if number % 2 else self._trusted(piece)
        return ids

    def _trusted(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def parse_call(text: str) -> ToolCall | InvalidToolCall:
    """Return the call that the JSON `text` describes: {"name": ..., "arguments": {...}}."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return InvalidToolCall(text, "the call is not valid JSON")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return InvalidToolCall(text, 'the call needs "name" and "arguments"')
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        return InvalidToolCall(text, '"arguments" must be an object')
    return ToolCall(value["name"], arguments)


def _lift_strings(value: Any, strings: list[str]) -> Any:
    if isinstance(value, str):
        strings.append(value)
        return _STRING_SLOT
    if isinstance(value, dict):
        return {key: _lift_strings(item, strings) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lift_strings(item, strings) for item in value]
    return value
