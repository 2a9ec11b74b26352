"""Asking a model for a JSON object, once: what was said is on file, so that a killed run asks only for the rest.

Knows nothing of questions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeModel, Message, ask_for
from rewards.judge_prompt import messages_key

Reply = TypeVar("Reply", bound=BaseModel)


class Asker:
    """One model and the file of what it said."""

    def __init__(self, model: JudgeModel, cache: JudgeCache) -> None:
        self._model, self._cache = model, cache

    async def ask(
        self, shape: type[Reply], messages: list[Message], check: Callable[[Reply], bool] = lambda _: True
    ) -> Reply:
        """Return the reply as an object of `shape` that passes `check`, from the file or the model.

        Raises JudgeFailure when there is none, and what `JudgeModel.ask` raises for good.
        """
        key = messages_key(messages, self._model.name)
        if (said := self._cache.get(key)) is not None:
            return shape.model_validate_json(said)
        reply, _ = await ask_for(shape, self._model, messages, check, what="reply")
        self._cache.put(key, reply.model_dump_json())
        return reply
