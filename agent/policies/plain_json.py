"""A chat model without function calling as a policy: the tools stand in the prompt, calls and results are plain text.

Knows nothing of rewards, or of how the model is reached.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.policies.api_client import ApiClient, Message
from agent.policy import TokenTrace, Usage
from agent.tagged_syntax import TaggedJson
from agent.tool_calls import MAX_CALL_CHARS, find_loose_calls
from agent.tool_syntax import parse_turn
from inbox_env.actions import Action, InvalidToolCall, Observation, ToolCall

EXAMPLE = '{"name": "search_emails", "arguments": {"keywords": ["budget"]}}'
_HOW = """You have these tools, one JSON schema a line:
{schemas}

Reply with one JSON object and nothing else, then wait for its result. It looks like this:
{example}"""
_NO_CALL = f"no tool call found: write {EXAMPLE}"


class PlainJsonActor:
    """One episode: the messages so far, of which only the text counts."""

    def __init__(self, client: ApiClient, system: str, user: str, schemas: Sequence[dict[str, Any]]) -> None:
        self.trace: TokenTrace | None = None
        self.is_truncated = False
        self.usage = Usage()
        self._client = client
        tools = _HOW.format(schemas="\n".join(json.dumps(one, ensure_ascii=False) for one in schemas), example=EXAMPLE)
        self._messages: list[Message] = [
            {"role": "system", "content": f"{system}\n\n{tools}"},
            {"role": "user", "content": user},
        ]

    async def act(self, observation: Observation | None) -> Action:
        """Add the results, ask the model, and return the call in its text."""
        if observation is not None:
            results = "\n\n".join(result.content for result in observation.results)
            self._messages.append({"role": "user", "content": results})
        completion = await self._client.complete(self._messages, [])
        self.usage += completion.usage
        self.is_truncated = completion.is_cut
        text = completion.text[:MAX_CALL_CHARS]
        self._messages.append({"role": "assistant", "content": text or "(nothing)"})
        return read_call(text)

    def close(self) -> None:
        """Nothing is held between turns."""


def read_call(text: str) -> Action:
    """Return the calls of a reply: tagged, fenced or bare JSON, with or without words around it."""
    found = parse_turn(TaggedJson(), text)
    if not any(isinstance(call, ToolCall) for call in found.calls):
        found = find_loose_calls(text)
    if any(isinstance(call, ToolCall) for call in found.calls):
        return Action(found.calls, found.rest)
    return Action((InvalidToolCall(text, _NO_CALL),))
