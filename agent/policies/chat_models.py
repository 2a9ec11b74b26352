"""Chat models by name: where they are, how they are spoken to, and where mail goes when they are asked.

| spec | model |
|---|---|
| `api:PROVIDER/MODEL`, `litellm:PROVIDER/MODEL` | as litellm names it, key from the environment |
| `openai:URL`, `openai:URL#MODEL` | a server that speaks OpenAI's protocol; without a name its first model |
| `api+json:..`, `litellm+json:..`, `openai+json:..` | the same with tools in the prompt and JSON in the text |

Knows nothing of rewards.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from agent.policies.api import ApiActor, destination, is_loopback, load_api
from agent.policies.api_client import MAX_TOKENS, ApiClient, Patience
from agent.policies.plain_json import PlainJsonActor
from agent.policy import Actor, Opening
from agent.prompts import system_prompt
from agent.toolsets import Toolset, own_toolset
from inbox_env.env import EnvLimits
from inbox_env.errors import UpstreamError, UsageError

KINDS = ("api", "litellm", "openai")
_LIST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ChatSpec:
    """A spec in its parts: `kind` of `KINDS`, the protocol `tools` or `json`, and what the kind calls its model."""

    kind: str
    protocol: str
    model: str


def parse_chat_spec(spec: str) -> ChatSpec | None:
    """Return the parts of a chat model's spec; None when it is none. Raises UsageError for an unknown protocol."""
    head, colon, model = spec.partition(":")
    kind, _, protocol = head.partition("+")
    if not colon or kind not in KINDS:
        return None
    if protocol not in ("", "tools", "json"):
        raise UsageError(67, f"no protocol named {protocol!r}", where=spec, next_step=f"write {kind}: or {kind}+json:")
    return ChatSpec(kind, protocol or "tools", model)


def sends_to(spec: str) -> str:
    """Return where a policy sends mail: a host or a provider's name; empty when mail stays on this machine."""
    chat = parse_chat_spec(spec)
    if chat is None:
        return ""
    if chat.kind != "openai":
        return destination(chat.model)
    host = urlsplit(_server(chat.model)[0]).hostname or chat.model
    return "" if is_loopback(host) else host


class ChatPolicy:
    """A chat model with a toolset, spoken to in one of two protocols."""

    def __init__(self, name: str, client: ApiClient, toolset: Toolset, *, protocol: str = "tools") -> None:
        self.name, self.client = name, client
        self.limits: EnvLimits | None = None
        self._toolset, self._protocol = toolset, protocol

    def start(self, opening: Opening) -> Actor:
        """Return the actor of one episode."""
        self.client.load()
        system = system_prompt(self._toolset.prompt, opening)
        if self._protocol == "json":
            return PlainJsonActor(self.client, system, opening.question, self._toolset.schemas)
        return ApiActor(self.client, system, opening.question, list(self._toolset.schemas))


def load_chat(
    spec: str,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    patience: Patience | None = None,
    toolset: Toolset | None = None,
    max_tokens: int = MAX_TOKENS,
) -> ChatPolicy:
    """Return the policy that a chat model's spec names; a server that is to name its model is asked for it.

    Raises UsageError for a wrong spec, UpstreamError when the server does not say what it serves.
    """
    chat = parse_chat_spec(spec)
    if chat is None:
        raise UsageError(68, f"{spec!r} names no chat model", next_step="write api:PROVIDER/MODEL or openai:URL#MODEL")
    toolset = toolset or own_toolset()
    if chat.kind != "openai":
        played = load_api(
            f"api:{chat.model}", temperature=temperature, seed=seed, patience=patience, max_tokens=max_tokens
        )
        return ChatPolicy(spec, played.client, toolset, protocol=chat.protocol)
    if find_spec("litellm") is None:
        raise UsageError(69, "a model behind an API needs litellm", next_step='pip install "mailsleuth[api]"')
    url, model = _server(chat.model)
    key = os.environ.get("OPENAI_API_KEY", "") if sends_to(spec) else ""  # a key is for the server it was given for
    client = ApiClient(
        f"openai/{model or first_model(url, key)}",
        base_url=url,
        api_key=key or "none",
        temperature=temperature,
        seed=seed,
        max_tokens=max_tokens,
        patience=patience,
    )
    return ChatPolicy(spec, client, toolset, protocol=chat.protocol)


def first_model(url: str, key: str = "") -> str:
    """Return the first model that a server lists; raises UpstreamError when it lists none."""
    import httpx  # comes with litellm

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(f"{url}/models", headers=headers, timeout=_LIST_SECONDS).raise_for_status()
        return str(reply.json()["data"][0]["id"])
    except (httpx.HTTPError, json.JSONDecodeError, LookupError, TypeError) as error:
        what = f"the server lists no model ({type(error).__name__})"
        raise UpstreamError(71, what, where=url, next_step="name one: openai:URL#MODEL") from None


def _server(model: str) -> tuple[str, str]:
    """Return the base URL and the model's name, which may be empty."""
    url, _, name = model.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(75, f"no server's address: {url!r}", next_step="write openai:http://127.0.0.1:8000/v1#MODEL")
    if parts.username or parts.password:
        raise UsageError(76, "a password in an address would be written down", next_step="set OPENAI_API_KEY instead")
    return url.rstrip("/"), name
