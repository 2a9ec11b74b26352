"""Chat format: messages to tokens and tokens to tool calls, for one tokenizer and its chat template.

Token-in, token-out: a conversation grows by appending ids (`prompt_ids`, then sampled ids, then
`observation_ids`), nothing is decoded and encoded again. Untrusted text (mail, questions, tool results) is
encoded as plain text, so that a mail holding `<|end|>` cannot end a turn. Needs `transformers`, not torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.plain_text import TextEncoder
from agent.prefix_rendering import MARKED, learn_chat
from agent.tool_syntax import parse_turn
from inbox_env.actions import Action, ToolCall
from inbox_env.errors import CorruptError, UsageError

_FIRST_ARGUMENTS = {"search_emails": "keywords", "read_email": "id", "return_final_answer": "answer"}
_THOUGHTS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
_OTHER_ENDS = ("<|eom_id|>",)  # Llama 3 ends a call that expects a result with it


class ChatFormat:
    """Renders and parses the conversation of one model.

    `has_spaced_strings`: strings inside calls start with a space, so that a copied name keeps the token
    sequence it has in running text (read from the tokenizer's own configuration). `enable_thinking` is the
    template's own switch (None: as the template has it). `is_rewriting`: the template by itself would drop
    parts of earlier turns; here they stay as they were sampled.
    """

    def __init__(self, tokenizer: Any, enable_thinking: bool | None = None) -> None:
        self._tokenizer = tokenizer
        self.enable_thinking = enable_thinking
        self._encoder = TextEncoder(tokenizer)
        self.has_spaced_strings = bool(tokenizer.init_kwargs.get("spaced_strings", False))
        self.template, self.turns = learn_chat(tokenizer, enable_thinking)
        self.syntax = self.template.syntax
        self.is_rewriting = self.turns.is_rewriting
        self._closing = _closing_thought(self.turns.cue)
        self._ends = self._all_ends()
        self.stop_token_ids = frozenset(token_id for end in self._ends for token_id in self._encoder.trusted(end))

    @classmethod
    def load(cls, path: Path, enable_thinking: bool | None = None) -> ChatFormat:
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
        return cls(tokenizer, enable_thinking)

    @property
    def vocab_size(self) -> int:
        """How many tokens the tokenizer knows."""
        return len(self._tokenizer)

    def save(self, path: Path) -> None:
        """Write the tokenizer and its template into a model folder."""
        self._tokenizer.save_pretrained(path)

    def prompt_ids(self, system: str, user: str) -> list[int]:
        """Return the ids of the opening (with the tools, if the template shows them), up to where the policy speaks."""
        return self._fill(self.turns.opening, (system, user))

    def observation_ids(self, results: Sequence[str], said: Sequence[str] = ()) -> list[int]:
        """Return the ids that follow a sampled turn (it ended with its stop token): results, then the cue.

        `said` is what the user says after the results; raises what the template raises when it bears no such thing.
        """
        if self.turns.escapes_results:
            results = [json.dumps(result, ensure_ascii=False)[1:-1] for result in results]
        return self._fill(self.turns.glue(len(results), len(said)), [*results, *said])

    def action_ids(self, action: Action) -> list[int]:
        """Return the ids with which the policy would say `action`, stop token included; `parse` inverts it."""
        calls = [call for call in action.calls if isinstance(call, ToolCall)]
        if len(calls) < len(action.calls):
            raise ValueError("an invalid call has no canonical form")
        return self.turn_ids("", calls)

    def turn_ids(self, text: str, calls: Sequence[ToolCall]) -> list[int]:
        """Return the ids of a turn that says `text`, as plain text, and makes `calls`, stop token included."""
        ids = self._encoder.trusted(self._closing) + (self._encoder.plain(text) if text else [])
        space = " " if self.has_spaced_strings else ""
        for piece in self.syntax.write(calls) if calls else ():
            ids += self._encoder.trusted(piece.text) if piece.is_trusted else self._encoder.plain(space + piece.text)
        return ids + self._encoder.trusted(self.turns.end)

    def call_opening_ids(self, name: str) -> list[int]:
        """Return the ids that begin a call of tool `name`: used to make a model answer now."""
        call = ToolCall(name, {_FIRST_ARGUMENTS[name]: ""})
        opening = self.syntax.write([call])[0].text
        if name != "return_final_answer":
            opening = opening.removesuffix('"')
        return self._encoder.trusted(self._closing) + self._encoder.trusted(opening)

    def parse(self, token_ids: Sequence[int]) -> Action:
        """Return what the sampled ids say; text that is no call becomes an `InvalidToolCall`.

        Calls inside a thinking block are thoughts, not calls.
        """
        text = self.decode(token_ids)
        text = next((text.removesuffix(end) for end in self._ends if text.endswith(end)), text)
        thoughts, said = _split_thoughts(text, self.turns.cue)
        found = parse_turn(self.syntax, said)
        return Action(found.calls, (thoughts + found.rest).strip())

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included (for people)."""
        options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(list(token_ids), **options))

    def plain_ids(self, text: str) -> list[int]:
        """Return the ids of untrusted text: strings that look like special or added tokens stay plain text."""
        return self._encoder.plain(text)

    def _all_ends(self) -> tuple[str, ...]:
        """Return every token that ends a turn, the template's own first."""
        known = {token.content for token in self._tokenizer.added_tokens_decoder.values()}
        others = (self._tokenizer.eos_token, *_OTHER_ENDS)
        return tuple(dict.fromkeys((self.turns.end, *(end for end in others if end in known))))

    def _fill(self, template: str, contents: Sequence[str]) -> list[int]:
        ids: list[int] = []
        for number, piece in enumerate(MARKED.split(template)):
            ids += self._encoder.plain(contents[int(piece)]) if number % 2 else self._encoder.trusted(piece)
        return ids


def _closing_thought(cue: str) -> str:
    """Return what ends the thinking block that a cue opened: nothing where it opened none."""
    closers = (closer for opener, closer in _THOUGHTS if cue.rfind(opener) > cue.rfind(closer))
    return next((f"{closer}\n\n" for closer in closers), "")


def _split_thoughts(text: str, cue: str) -> tuple[str, str]:
    """Return the thinking block that a turn begins with (its own, or one that the cue opened), and what follows it."""
    for opener, closer in _THOUGHTS:
        is_open = cue.rfind(opener) > cue.rfind(closer)
        if is_open or text.lstrip().startswith(opener):
            thoughts, closed, said = text.partition(closer)
            return thoughts + closed, said
    return "", text
