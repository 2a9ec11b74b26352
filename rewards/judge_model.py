"""The seam between a judge and the model behind it: messages in, text out; and a scripted model for tests and trials.

Asking is here too: a reply that is not the JSON object that was asked for is asked for again, twice. Knows nothing of
what is judged, and of no provider (`agent.judge_client` has those).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

MAX_TRIES = 3
NOT_THE_OBJECT = "Your last reply was not the JSON object that was asked for. Reply with that object and nothing else."
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)  # some servers leave it in front of the reply
_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)

Message = dict[str, str]
Reply = TypeVar("Reply", bound=BaseModel)


class JudgeFailure(Exception):
    """The model gave no usable reply. That says nothing of what it was asked about; the text holds no key and no mail.

    `num_calls` and `cost` are what was spent nevertheless.
    """

    def __init__(self, what: str, num_calls: int = 0, cost: float = 0.0) -> None:
        super().__init__(what)
        self.num_calls, self.cost = num_calls, cost


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """What the model said, and what that cost in dollars (0 where no price is known)."""

    text: str
    cost: float = 0.0


class JudgeModel(Protocol):
    """A chat model that judges; `name` says which, and is part of the key of what it said."""

    name: str

    async def ask(self, messages: list[Message]) -> JudgeReply:
        """Return the reply. Raises JudgeFailure when there is none, UpstreamError when there will never be one."""
        ...


Script = str | Exception | Callable[[list[Message]], str]


class ScriptedJudge:
    """A model that says what it was told to, item after item and the last for ever.

    An item is a reply, an exception to raise, or a function of the messages. `asked` keeps what it was asked.
    """

    def __init__(self, *script: Script, name: str = "scripted", cost: float = 0.0, seconds: float = 0.0) -> None:
        self.name, self.asked = name, list[list[Message]]()
        self._script, self._cost, self._seconds = list(script), cost, seconds

    async def ask(self, messages: list[Message]) -> JudgeReply:
        """Return, or raise, the next item."""
        self.asked.append(messages)
        item = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        await asyncio.sleep(self._seconds)
        if isinstance(item, Exception):
            raise item
        return JudgeReply(item(messages) if callable(item) else item, self._cost)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a reply took: calls, and dollars."""

    num_calls: int = 0
    cost: float = 0.0


async def ask_for(
    shape: type[Reply],
    model: JudgeModel,
    messages: list[Message],
    check: Callable[[Reply], bool] = lambda _: True,
    *,
    what: str = "verdict",
) -> tuple[Reply, Spent]:
    """Return the reply as an object of `shape` that passes `check`; what is no such object is asked for again, twice.

    Raises JudgeFailure when there is still none; `what` is what its text calls it.
    """
    cost = 0.0
    for num_calls in range(1, MAX_TRIES + 1):
        try:
            reply = await model.ask(messages if num_calls == 1 else _again(messages))
        except JudgeFailure as failure:
            raise JudgeFailure(str(failure), num_calls, cost + failure.cost) from None
        cost += reply.cost
        found = _read(shape, reply.text)
        if found is not None and check(found):
            return found, Spent(num_calls, cost)
    raise JudgeFailure(f"no readable {what} in {MAX_TRIES} replies", MAX_TRIES, cost)


def _again(messages: list[Message]) -> list[Message]:
    """Return the messages with the reminder in the last: some templates refuse two messages of one role in a row."""
    *before, last = messages
    return [*before, {**last, "content": f"{last['content']}\n\n{NOT_THE_OBJECT}"}]


def _read(shape: type[Reply], text: str) -> Reply | None:
    """Return the object that is the whole of `text`, but for a thought before it and a code fence around it."""
    thought = _THOUGHT.match(text)
    said = text[thought.end() if thought else 0 :].strip()
    fenced = _FENCED.fullmatch(said)
    try:
        return shape.model_validate_json(fenced[1] if fenced else said, strict=True)
    except ValidationError:
        return None
