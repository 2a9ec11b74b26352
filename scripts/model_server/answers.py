"""The bytes of an answer: one JSON object, or chunks as server-sent events, in OpenAI's form.

Knows nothing of how a turn is made.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.model_server.turns import ToldCall, ToldTurn

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Heading:
    """What every part of one answer begins with."""

    model: str
    has_usage: bool = False  # at the end of a stream
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, turn: ToldTurn) -> dict[str, Any]:
        """Return the answer as one object."""
        message: dict[str, Any] = {"role": "assistant", "content": turn.text, "refusal": None}
        if turn.calls:
            message |= {"content": turn.text or None, "tool_calls": [_call(one) for one in turn.calls]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": turn.finish_reason}
        return self._head("chat.completion") | {"choices": [choice], "usage": usage(turn)}

    def first(self) -> bytes:
        """Return the chunk that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def text(self, text: str) -> bytes:
        """Return a chunk of text."""
        return self._chunk({"content": text})

    def last(self, turn: ToldTurn) -> Iterator[bytes]:
        """Yield the calls, why the turn ended, what it took where that is wanted, and the end of the stream."""
        for index, one in enumerate(turn.calls):
            yield self._chunk({"tool_calls": [{"index": index} | _call(one, arguments="")]})
            arguments = json.dumps(one.call.arguments, ensure_ascii=False)
            yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
        yield self._chunk({}, turn.finish_reason)
        if self.has_usage:
            yield event(self._head("chat.completion.chunk") | {"choices": [], "usage": usage(turn)})
        yield DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        extra: dict[str, Any] = {"usage": None} if self.has_usage else {}
        return event(self._head("chat.completion.chunk") | {"choices": [choice]} | extra)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage(turn: ToldTurn) -> dict[str, int]:
    """Return the tokens read and written."""
    total = turn.num_prompt_tokens + turn.num_tokens
    return {
        "prompt_tokens": turn.num_prompt_tokens,
        "completion_tokens": turn.num_tokens,
        "total_tokens": total,
    }


def event(body: dict[str, Any]) -> bytes:
    """Return one event; JSON has no line breaks, so that no text can end it early."""
    return f"data: {json.dumps(body)}\n\n".encode()


def _call(one: ToldCall, arguments: str | None = None) -> dict[str, Any]:
    if arguments is None:
        arguments = json.dumps(one.call.arguments, ensure_ascii=False)
    return {"id": one.id, "type": "function", "function": {"name": one.call.name, "arguments": arguments}}
