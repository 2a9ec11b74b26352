"""A chat request as OpenAI's clients send it, checked: what is not supported is refused by its name, never ignored.

Knows nothing of tokens or models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from scripts.model_server.failures import ApiError

MAX_BODY_BYTES = 4_000_000
MAX_MESSAGES = 2_000
MAX_STOPS, MAX_STOP_CHARS = 4, 200

# Accepted with these values alone, which change nothing (and null, which is the same as leaving a field out).
NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "n": (1,),
        "frequency_penalty": (0,),
        "presence_penalty": (0,),
        "logit_bias": ({},),
        "logprobs": (False,),
        "top_logprobs": (0,),
        "response_format": ({"type": "text"},),
        "modalities": (["text"],),
        "store": (False,),
        "service_tier": ("auto", "default"),
    }
)
# Who asks, and hints to a cache: nothing that the answer depends on.
IGNORED = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class TextPart(_Part):
    """A stretch of a message's text; images and sound are refused."""

    type: Literal["text"]
    text: str


class FunctionCall(_Part):
    """What a call names; `arguments` is JSON text."""

    name: str = Field(max_length=200)
    arguments: str


class CallPart(_Part):
    """A call of an earlier turn."""

    id: str = Field(max_length=200)
    type: Literal["function"] = "function"
    function: FunctionCall


class WireMessage(_Part):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[CallPart] | None = Field(default=None, max_length=64)
    tool_call_id: str | None = Field(default=None, max_length=200)

    @property
    def text(self) -> str:
        """Return all that the message says."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)


class NamedFunction(_Part):
    """A function by its name; of its parameters, where they are given, the names count."""

    name: str = Field(max_length=200)
    parameters: dict[str, Any] | None = None

    @property
    def argument_names(self) -> frozenset[str]:
        """Return the names of the parameters; none where the request says nothing of them."""
        properties = (self.parameters or {}).get("properties")
        return frozenset(properties) if isinstance(properties, dict) else frozenset()


class NamedTool(_Part):
    """A tool of the request, or the one that must be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Part):
    """`include_usage`: a last chunk says how many tokens it took."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include_usage: bool = False


_Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]


class ChatRequest(BaseModel):
    """A request for one turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(max_length=500)
    messages: list[WireMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    tools: list[NamedTool] = Field(default=[], max_length=128)
    tool_choice: Literal["auto", "none"] | NamedTool = "auto"
    parallel_tool_calls: bool = True
    temperature: float = Field(default=0.0, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: list[_Stop] = Field(default=[], max_length=MAX_STOPS)
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def token_limit(self) -> int | None:
        """The most tokens that are wanted, by its new name or its old one."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


def read_request(body: bytes) -> ChatRequest:
    """Return the request of a JSON body; raises ApiError 400 that names the field."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not JSON", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "the body is not a JSON object", code="invalid_json")
    given = {name: value for name, value in fields.items() if value is not None and name not in IGNORED}
    for name, values in NEUTRAL.items():
        if name in given and given.pop(name) not in values:
            what = f"{name}: only {' or '.join(map(json.dumps, values))} is supported here"
            raise ApiError(400, what, param=name, code="unsupported_parameter")
    if unknown := [name for name in given if name not in ChatRequest.model_fields]:
        raise ApiError(400, f"{unknown[0]}: not supported here", param=unknown[0], code="unsupported_parameter")
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        first: Any = error.errors()[0]
        if foreign := _foreign_part(given, first["loc"]):
            raise ApiError(400, foreign, param="messages", code="unsupported_content") from None
        place = ".".join(str(part) for part in first["loc"])
        param = str(first["loc"][0]) if first["loc"] else None
        raise ApiError(400, f"{place}: {first['msg']}", param=param, code="invalid_value") from None


def _foreign_part(given: Mapping[str, Any], loc: tuple[Any, ...]) -> str:
    """Return what to say when the content at `loc` has a part that is no text, such as an image; else ""."""
    if loc[:1] != ("messages",) or loc[2:3] != ("content",):
        return ""
    content = given["messages"][loc[1]]["content"]
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    kinds = [str(part.get("type"))[:40] for part in parts if part.get("type") != "text"]
    return f"messages.{loc[1]}.content: only text is taken here, no part of type {kinds[0]!r}" if kinds else ""
