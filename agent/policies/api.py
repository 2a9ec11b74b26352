"""A chat model behind an API as a policy: native function calling, the whole conversation sent every turn.

Needs the extra `api` (litellm), loaded with the first call. What it reads leaves this machine unless the API is on it
(`destination`). Knows nothing of rewards.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from agent.policies.api_client import ApiClient, Completion, Message, Patience, RawCall
from agent.policy import TokenTrace, Usage
from agent.prompts import system_prompt
from agent.tagged_syntax import TaggedJson
from agent.tool_calls import MAX_CALL_CHARS, Call, with_arguments
from agent.tool_syntax import parse_turn
from inbox_env.actions import Action, InvalidToolCall, Observation, Opening, ToolCall
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.tools import tool_schemas

API = "api:"
_BASE_URL = "MAILSLEUTH_API_BASE"
_LOCAL_PROVIDERS = ("ollama", "ollama_chat")  # found on this machine unless another address is given
_NO_CALL = "no tool call found: call one of the tools"


class ApiActor:
    """One episode: the messages so far.

    `is_agent`: the server serves an agent of ours, which hears what it heard in training: every result as one, after a
    turn without a call too, and what was wrong with a call in the words that a local policy gives.
    """

    def __init__(
        self,
        client: ApiClient,
        system: str,
        user: str,
        schemas: list[dict[str, Any]] | None = None,
        *,
        is_agent: bool = False,
    ) -> None:
        self.trace: TokenTrace | None = None
        self.is_truncated = False
        self.usage = Usage()
        self._client, self._is_agent = client, is_agent
        self._tools = tool_schemas() if schemas is None else schemas
        self._messages: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        self._pending: tuple[RawCall, ...] = ()

    async def act(self, observation: Observation | None) -> Action:
        """Add the results, ask the model, and return what it does."""
        if observation is not None:
            self._hear([result.content for result in observation.results])
        completion = await self._client.complete(self._messages, self._tools)
        self.usage += completion.usage
        self.is_truncated = completion.is_cut
        action = _action(completion, is_agent=self._is_agent)
        self._say(completion, action)
        return action

    def close(self) -> None:
        """Nothing is held between turns."""

    def _hear(self, results: list[str]) -> None:
        if not self._pending and self._is_agent:
            self._messages += [{"role": "tool", "tool_call_id": "none", "content": content} for content in results]
        elif not self._pending:
            self._messages.append({"role": "user", "content": "\n\n".join(results)})
        for call, content in zip(self._pending, results, strict=False):
            self._messages.append({"role": "tool", "tool_call_id": call.id, "name": call.name, "content": content})

    def _say(self, completion: Completion, action: Action) -> None:
        """Keep what the model said; APIs refuse a conversation whose arguments are no JSON, so those are left out."""
        self._pending = completion.calls
        message: Message = {"role": "assistant", "content": completion.text[:MAX_CALL_CHARS]}
        if completion.calls:
            message["tool_calls"] = [
                _shown(raw, is_valid=isinstance(call, ToolCall))
                for raw, call in zip(completion.calls, action.calls, strict=True)
            ]
        self._messages.append(message)


class ApiPolicy:
    """A model of some provider, named as litellm names it: `openai/NAME`, `anthropic/NAME`, `ollama_chat/NAME` .."""

    def __init__(self, client: ApiClient, *, prompt: str = "default", limits: EnvLimits | None = None) -> None:
        self.name, self.limits = f"{API}{client.model}", limits
        self.client, self._prompt = client, prompt

    def start(self, opening: Opening) -> ApiActor:
        """Return the actor of one episode."""
        self.client.load()
        return ApiActor(self.client, system_prompt(self._prompt, opening), opening.question)


def load_api(spec: str, *, temperature: float = 0.0, seed: int = 0, patience: Patience | None = None) -> ApiPolicy:
    """Return the policy `api:PROVIDER/MODEL`; raises UsageError when litellm is not installed or no model is named."""
    model = spec.removeprefix(API)
    if not all(model.partition("/")):
        raise UsageError(66, f"no model named by {spec!r}", next_step="write api:PROVIDER/MODEL, as litellm names them")
    return ApiPolicy(make_client(model, temperature=temperature, seed=seed, patience=patience))


def make_client(model: str, *, base_url: str | None = None, **options: Any) -> ApiClient:
    """Return a client of `PROVIDER/MODEL`, at `base_url` or where the environment says; `options` as ApiClient's.

    Raises UsageError when litellm is not installed or no model is named.
    """
    if not all(model.partition("/")):
        raise UsageError(67, f"no model named by {model!r}", next_step="write PROVIDER/MODEL, as litellm names them")
    if find_spec("litellm") is None:
        raise UsageError(64, "a model behind an API needs litellm", next_step='pip install "mailsleuth[api]"')
    # A server on this machine seldom wants a key, but the client library always does.
    is_keyless = not destination(model, base_url) and _environment_name(model, "API_KEY") not in os.environ
    base_url = base_url or _base_url(model, os.environ)
    return ApiClient(model, base_url=base_url, api_key="none" if is_keyless else None, **options)


def destination(spec: str, base_url: str | None = None) -> str:
    """Return where a model, or an `api:` policy, gets its mail sent: a host, or the provider's name.

    Empty when it stays on this machine. `base_url` goes before what the environment says.
    """
    model = spec.removeprefix(API)
    provider = model.partition("/")[0]
    base_url = base_url or _base_url(model, os.environ)
    if base_url is None:
        return "" if provider in _LOCAL_PROVIDERS else provider
    host = urlsplit(base_url if "//" in base_url else f"//{base_url}").hostname or base_url
    return "" if is_loopback(host) else host


def _base_url(model: str, environment: Mapping[str, str]) -> str | None:
    names = (_BASE_URL, _environment_name(model, "API_BASE"), _environment_name(model, "BASE_URL"))
    return next((environment[name] for name in names if environment.get(name)), None)


def _environment_name(model: str, suffix: str) -> str:
    provider = model.partition("/")[0].removesuffix("_chat")
    return f"{provider.upper()}_{suffix}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _action(completion: Completion, *, is_agent: bool) -> Action:
    if completion.calls:
        return Action(tuple(map(_call, completion.calls)), completion.text[:MAX_CALL_CHARS])
    found = parse_turn(TaggedJson(), completion.text[:MAX_CALL_CHARS])  # some servers leave the model's own syntax in
    if is_agent or any(isinstance(call, ToolCall) for call in found.calls):
        return Action(found.calls, found.rest)
    return Action((InvalidToolCall(completion.text[:MAX_CALL_CHARS], _NO_CALL),))


def _call(raw: RawCall) -> Call:
    if not raw.name:
        return InvalidToolCall(raw.arguments[:MAX_CALL_CHARS], "the call names no tool")
    return with_arguments(raw.name, raw.arguments, raw.arguments)


def _shown(raw: RawCall, *, is_valid: bool) -> Message:
    arguments = raw.arguments if is_valid else "{}"
    return {"id": raw.id, "type": "function", "function": {"name": raw.name or "none", "arguments": arguments}}
