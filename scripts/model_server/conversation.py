"""The messages of a request as the tokens that a rollout would have made of the same episode.

The opening is system and user, then turns and what was heard after each. What a client sends is plain text: special
tokens in it stay text. Knows nothing of HTTP or of sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from agent.chat_format import ChatFormat
from agent.chat_templates import FAILURES
from agent.tool_calls import with_arguments
from inbox_env.actions import ToolCall
from scripts.model_server.failures import ApiError
from scripts.model_server.requests import WireMessage
from scripts.model_server.turn_memory import TurnMemory

MAX_RESULTS = 64
_PART = "\n\n"


def conversation_ids(messages: Sequence[WireMessage], chat: ChatFormat, memory: TurnMemory) -> list[int]:
    """Return the prompt's ids, up to where the model speaks; raises ApiError 400 for an order that no episode has."""
    system, user, rest = _opening(messages)
    ids = chat.prompt_ids(system, user)
    for said, heard in _turns(rest):
        calls = _calls(said)
        recalled = memory.recall(ids, said.text, calls)
        ids = ids + (chat.turn_ids(said.text, calls) if recalled is None else recalled)
        results = _results(said, [one for one in heard if one.role == "tool"])
        users = [one.text for one in heard if one.role == "user"]
        try:
            ids += chat.observation_ids(results, [_PART.join(users)] if users else [])
        except FAILURES as error:
            what = "messages: the model's chat template has no place for a user's message after tool results"
            raise ApiError(400, what, param="messages") from error
    return ids


def _opening(messages: Sequence[WireMessage]) -> tuple[str, str, Sequence[WireMessage]]:
    system = list(takewhile(lambda one: one.role in ("system", "developer"), messages))
    user = list(takewhile(lambda one: one.role == "user", messages[len(system) :]))
    if not user:
        raise ApiError(400, "messages: a user's message must follow the system's", param="messages")
    rest = messages[len(system) + len(user) :]
    return _PART.join(one.text for one in system), _PART.join(one.text for one in user), rest


def _turns(rest: Sequence[WireMessage]) -> Iterator[tuple[WireMessage, Sequence[WireMessage]]]:
    """Yield each turn of the model with what followed it: results, then what the user said."""
    at = 0
    while at < len(rest):
        said = rest[at]
        heard = list(takewhile(lambda one: one.role == "tool", rest[at + 1 :]))
        heard += takewhile(lambda one: one.role == "user", rest[at + 1 + len(heard) :])
        if said.role != "assistant" or not heard:
            what = f"messages: a message of role {said.role} cannot stand here, or nothing follows it"
            raise ApiError(400, what, param="messages")
        yield said, heard
        at += 1 + len(heard)


def _calls(said: WireMessage) -> list[ToolCall]:
    calls = [with_arguments(c.function.name, c.function.arguments, "") for c in said.tool_calls or ()]
    if not all(isinstance(call, ToolCall) for call in calls):
        raise ApiError(400, "messages: the arguments of a call are no JSON object", param="messages")
    return [call for call in calls if isinstance(call, ToolCall)]


def _results(said: WireMessage, heard: Sequence[WireMessage]) -> list[str]:
    """Return the results in the order of the calls; after a turn without calls, as they come."""
    if len(heard) > MAX_RESULTS:
        raise ApiError(400, f"messages: more than {MAX_RESULTS} results of one turn", param="messages")
    if not said.tool_calls:
        return [one.text for one in heard]
    by_id = {one.tool_call_id: one.text for one in heard}
    wanted = [call.id for call in said.tool_calls]
    if len(heard) != len(by_id) or sorted(wanted) != sorted(str(one) for one in by_id):
        raise ApiError(
            400, "messages: one tool message must follow for each call of a turn, by its id", param="messages"
        )
    return [by_id[name] for name in wanted]


def without_leading_spaces(value: Any) -> Any:
    """Return a call's arguments as a person writes them: some tokenizers' models begin every string with a space."""
    if isinstance(value, str):
        return value.removeprefix(" ")
    if isinstance(value, dict):
        return {key: without_leading_spaces(item) for key, item in value.items()}
    return [without_leading_spaces(item) for item in value] if isinstance(value, list) else value
