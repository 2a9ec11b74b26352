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
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.policies.api import ApiActor, destination, is_loopback, load_api
from agent.policies.api_client import MAX_TOKENS, ApiClient, Patience
from agent.policies.plain_json import PlainJsonActor
from agent.policy import Actor, Opening
from agent.prompts import system_prompt
from agent.toolsets import Toolset, own_toolset
from inbox_env.env import EnvLimits
from inbox_env.errors import UpstreamError, UsageError

KINDS = ("api", "litellm", "openai")
CARD_FIELD = "mailsleuth"  # of a model that `/v1/models` lists: how the agent in it wants to be asked
TOKEN_VARIABLE = "MAILSLEUTH_TOKEN"  # noqa: S105 - the name of a variable, not a token
_LIST_SECONDS = 10.0


class ServedCard(BaseModel):
    """What a server of ours says about the agent that it serves."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str
    limits: EnvLimits


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that a server lists; `card` when the server is one of ours."""

    name: str
    card: ServedCard | None = None


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
    """A chat model with a toolset, spoken to in one of two protocols; `card` when it is an agent of ours."""

    def __init__(
        self,
        name: str,
        client: ApiClient,
        toolset: Toolset,
        *,
        protocol: str = "tools",
        card: ServedCard | None = None,
    ) -> None:
        self.name, self.client = name, client
        self.limits, self.prompt = card.limits if card else None, toolset.prompt
        self._toolset, self._protocol, self._is_agent = toolset, protocol, card is not None

    def start(self, opening: Opening) -> Actor:
        """Return the actor of one episode."""
        self.client.load()
        system = system_prompt(self._toolset.prompt, opening)
        if self._protocol == "json":
            return PlainJsonActor(self.client, system, opening.question, self._toolset.schemas)
        schemas = list(self._toolset.schemas)
        return ApiActor(self.client, system, opening.question, schemas, is_agent=self._is_agent)


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
    options = {"temperature": temperature, "seed": seed, "patience": patience, "max_tokens": max_tokens}
    return _load_server(spec, chat, toolset, **options)


def _load_server(spec: str, chat: ChatSpec, toolset: Toolset, **options: Any) -> ChatPolicy:
    """Return the model of a server; an agent of ours is asked with its own prompt, under its own limits."""
    url, name = _server(chat.model)
    # A key is for the server it was given for: another machine's, or one of ours on this one.
    key = os.environ.get("OPENAI_API_KEY" if sends_to(spec) else TOKEN_VARIABLE, "")
    listed = listed_model(url, key, name)
    client = ApiClient(f"openai/{listed.name}", base_url=url, api_key=key or "none", **options)
    card = listed.card if (toolset.name, chat.protocol) == ("own", "tools") else None
    if card is not None:
        toolset = replace(toolset, prompt=card.prompt)
    return ChatPolicy(spec, client, toolset, protocol=chat.protocol, card=card)


def listed_model(url: str, key: str = "", name: str = "") -> ListedModel:
    """Return the model `name` as a server lists it, or the first; raises UpstreamError when it lists none.

    A server need not list a model that is named.
    """
    import httpx  # comes with litellm

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(f"{url}/models", headers=headers, timeout=_LIST_SECONDS).raise_for_status()
        rows = [row for row in reply.json()["data"] if name in ("", row["id"])]
        return ListedModel(str(rows[0]["id"]), _card(rows[0]))
    except (httpx.HTTPError, json.JSONDecodeError, LookupError, TypeError) as error:
        if name:
            return ListedModel(name)
        what = f"the server lists no model ({type(error).__name__})"
        raise UpstreamError(71, what, where=url, next_step="name one: openai:URL#MODEL") from None


def _card(row: dict[str, Any]) -> ServedCard | None:
    try:
        return ServedCard.model_validate(row[CARD_FIELD]) if CARD_FIELD in row else None
    except ValidationError:
        return None  # of a version to come


def _server(model: str) -> tuple[str, str]:
    """Return the base URL and the model's name, which may be empty."""
    url, _, name = model.partition("#")
    if "@" in url:
        raise UsageError(76, "a password in an address would be written down", next_step="set OPENAI_API_KEY instead")
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not close, a port beyond 65535
        is_address = False
    if not is_address:
        raise UsageError(75, f"no server's address: {url!r}", next_step="write openai:http://127.0.0.1:8000/v1#MODEL")
    return url.rstrip("/"), name
