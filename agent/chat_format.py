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

from jinja2 import TemplateError
from pydantic_core import from_json

from inbox_env.actions import Action, InvalidToolCall, ToolCall
from inbox_env.errors import CorruptError, UsageError
from inbox_env.tools import tool_schemas

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_MARK = "\ue100{}\ue101"
_MARKED = re.compile("\ue100(\\d+)\ue101")
_STRING_SLOT = "\ue102"
_MAX_NESTING = 16  # a call is kept inside a trajectory, which JSON readers refuse beyond a depth


class ChatFormat:
    """Renders and parses the conversation of one model.

    `has_spaced_strings`: strings inside calls start with a space, so that a copied name keeps the token
    sequence it has in running text (read from the tokenizer's own configuration).
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.has_spaced_strings = bool(tokenizer.init_kwargs.get("spaced_strings", False))
        self._inside_added = _inside_added_tokens(tokenizer)
        self._glues: dict[int, str] = {}
        self._opening, self._end = self._learn_turns()
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
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # a damaged folder fails in many ways
            raise CorruptError(40, f"cannot read the tokenizer ({type(error).__name__})", where=str(path)) from error
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Write the tokenizer and its template into a model folder."""
        self._tokenizer.save_pretrained(path)

    def prompt_ids(self, system: str, user: str) -> list[int]:
        """Return the ids of the opening (with the tools, if the template shows them), up to where the policy speaks."""
        return self._encode(self._opening, (system, user))

    def observation_ids(self, results: Sequence[str]) -> list[int]:
        """Return the ids that follow a sampled turn (it ended with its stop token): results, then the cue."""
        return self._encode(self._glue(len(results), self._end), results)

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
        text = self.decode(token_ids).removesuffix(self._end)
        calls = tuple(parse_call(match.group(1)) for match in _CALL.finditer(text))
        rest = _CALL.sub("", text).strip()
        if not calls:
            calls = (InvalidToolCall(text, "no tool call found: write <tool_call>{...}</tool_call>"),)
        return Action(calls, rest)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included (for people)."""
        options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(list(token_ids), **options))

    def plain_ids(self, text: str) -> list[int]:
        """Return the ids of untrusted text: strings that look like special or added tokens stay plain text."""
        pieces = self._inside_added.split(text) if self._inside_added else [text]
        encoded = (self._tokenizer(piece, add_special_tokens=False, split_special_tokens=True) for piece in pieces)
        return [token_id for encoding in encoded for token_id in encoding["input_ids"]]

    def _call_ids(self, call: ToolCall) -> list[int]:
        strings: list[str] = []
        shape = _lift_strings(call.arguments, strings)
        arguments = json.dumps(shape, ensure_ascii=False)
        text = f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {arguments}}}\n</tool_call>'
        ids: list[int] = []
        for number, piece in enumerate(text.split(_STRING_SLOT)):
            if number:
                space = " " if self.has_spaced_strings else ""
                ids += self.plain_ids(space + _json_string(strings[number - 1])[1:-1])
            ids += self._trusted(piece)
        return ids

    def _learn_turns(self) -> tuple[str, str]:
        """Return the template of an opening and the text that ends a turn, having checked that turns only append."""
        messages = [{"role": "system", "content": _MARK.format(0)}, {"role": "user", "content": _MARK.format(1)}]
        try:
            opening = self._render(messages, is_open=True)
            spoken = self._render([*messages, {"role": "assistant", "content": _STRING_SLOT}], is_open=False)
            end = self._first_special(spoken.partition(_STRING_SLOT)[2])
            is_appending = bool(end) and self._only_appends(messages, opening, end)
        except (TemplateError, ValueError, TypeError) as error:
            raise self._bad_template(42, f"the chat template is missing or fails ({type(error).__name__})") from error
        if not is_appending:
            raise self._bad_template(41, "the chat template rewrites earlier turns (no extension property)")
        return opening, end

    def _only_appends(self, messages: list[dict[str, str]], grown: str, end: str) -> bool:
        """Whether two turns with tool results render as what a rollout makes by appending."""
        for said, heard in (("one", ("r", "s")), ("two", ("t",))):
            results = [{"role": "tool", "content": text} for text in heard]
            messages = [*messages, {"role": "assistant", "content": said}, *results]
            grown += said + end + _fill(self._glue(len(heard), end), heard)
            if self._render(messages, is_open=True) != grown:
                return False
        return True

    def _bad_template(self, number: int, what: str) -> UsageError:
        next_step = "use a template in which each turn's prompt is a prefix of the next"
        return UsageError(number, what, where=str(self._tokenizer.name_or_path), next_step=next_step)

    def _glue(self, num_results: int, end: str) -> str:
        """Return the template of what stands between a turn's end and the next turn."""
        if num_results not in self._glues:
            spoken = {"role": "assistant", "content": _STRING_SLOT}
            results = [{"role": "tool", "content": _MARK.format(number)} for number in range(num_results)]
            messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, spoken, *results]
            after = self._render(messages, is_open=True).partition(_STRING_SLOT)[2]
            self._glues[num_results] = after.removeprefix(end)
        return self._glues[num_results]

    def _first_special(self, text: str) -> str:
        specials = [token for token in self._tokenizer.all_special_tokens if text.startswith(token)]
        return max(specials, key=len, default="")

    def _render(self, messages: list[dict[str, str]], *, is_open: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tools=tool_schemas(), add_generation_prompt=is_open, tokenize=False
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
    """Return the call that the JSON `text` describes: {"name": ..., "arguments": {...}}.

    Whatever a trajectory file could not hold (half a surrogate pair, deep nesting) is no call either.
    """
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return InvalidToolCall(text, "the call is not valid JSON")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return InvalidToolCall(text, 'the call needs "name" and "arguments"')
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        return InvalidToolCall(text, '"arguments" must be an object')
    if _depth(arguments) > _MAX_NESTING:
        return InvalidToolCall(text, "the call is nested too deeply")
    return ToolCall(value["name"], arguments)


def _fill(template: str, contents: Sequence[str]) -> str:
    return _MARKED.sub(lambda mark: contents[int(mark[1])], template)


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, items), default=0)


def _json_string(text: str) -> str:
    """Return `text` as JSON in which no call can seem to end."""
    written = json.dumps(text, ensure_ascii=False)
    return written.replace("</tool_call", "<\\/tool_call")


def _inside_added_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """Return where to cut text so that no added token is found in it; special ones can be left out by an option."""
    texts = [token.content for token in tokenizer.added_tokens_decoder.values() if not token.special]
    cuts = [f"(?<={re.escape(text[0])})(?={re.escape(text[1:])})" for text in texts if len(text) > 1]
    return re.compile("|".join(cuts)) if cuts else None


def _lift_strings(value: Any, strings: list[str]) -> Any:
    if isinstance(value, str):
        strings.append(value)
        return _STRING_SLOT
    if isinstance(value, dict):
        return {key: _lift_strings(item, strings) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lift_strings(item, strings) for item in value]
    return value
