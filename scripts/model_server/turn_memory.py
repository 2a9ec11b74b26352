"""Turns as they were sampled, kept a while: a conversation that comes back as text continues on the very same tokens.

The same text can be cut into tokens in many ways, and a model continues best what it has said itself. A turn is known
by the tokens before it and by what the client was told. Knows nothing of models or requests.
"""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from inbox_env.actions import ToolCall

MAX_KEPT_TOKENS = 1_000_000


class TurnMemory:
    """Keeps the turns that were used last, `max_tokens` tokens in all."""

    def __init__(self, max_tokens: int = MAX_KEPT_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._turns: OrderedDict[bytes, array[int]] = OrderedDict()
        self._num_tokens = 0

    def remember(self, before: Sequence[int], text: str, calls: Sequence[ToolCall], sampled: Sequence[int]) -> None:
        """Keep a turn: `sampled` followed the tokens `before`, and was told as `text` and `calls`."""
        key = _key(before, text, calls)
        self._num_tokens += len(sampled) - len(self._turns.pop(key, ()))
        self._turns[key] = array("i", sampled)
        while self._num_tokens > self._max_tokens:
            self._num_tokens -= len(self._turns.popitem(last=False)[1])

    def recall(self, before: Sequence[int], text: str, calls: Sequence[ToolCall]) -> list[int] | None:
        """Return the tokens of a turn, or None when it was not said here, was changed, or is forgotten."""
        key = _key(before, text, calls)
        found = self._turns.get(key)
        if found is None:
            return None
        self._turns.move_to_end(key)
        return list(found)


def _key(before: Sequence[int], text: str, calls: Sequence[ToolCall]) -> bytes:
    told = json.dumps([text, [[call.name, call.arguments] for call in calls]])
    return blake2b(array("i", before).tobytes() + told.encode(), digest_size=16).digest()
