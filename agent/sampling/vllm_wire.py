"""One vLLM server over HTTP: the routes that training needs, with retries, deadlines and checked replies.

Token ids in, token ids and processed logprobs out. Knows nothing of sessions, of other servers or of text.
Errors name the server and the status, never what was sent.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.sampling.patience import RETRIED_STATUS, Patience, wished_pause

_SHORT = Patience(5.0, 5.0, num_attempts=1)

Reply = TypeVar("Reply", bound=BaseModel)


class WireError(Exception):
    """One call failed: an outage of the rollout that made it, not a mistake of the run."""


class Unreachable(WireError):
    """The server did not answer, or only with errors that pass, for as long as there was patience."""


class Refused(WireError):
    """The server answered that it will not do this."""

    def __init__(self, status: int, server: str, detail: str) -> None:
        self.status, self.detail = status, detail
        super().__init__(f"http {status} from {server}")

    @property
    def is_context_overflow(self) -> bool:
        """Whether the request was longer than the server's context."""
        return self.status == 400 and "context length" in self.detail


class BadReply(WireError):
    """The server answered something that this client cannot read."""


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Logprobs(_Reply):
    """`tokens` are "token_id:N" when the request asked for that."""

    token_logprobs: tuple[float | None, ...] = ()
    tokens: tuple[str, ...] = ()
    top_logprobs: tuple[dict[str, float] | None, ...] | None = None


class PromptLogprob(_Reply):
    """One candidate of a prompt position."""

    logprob: float


class Choice(_Reply):
    """One completion."""

    token_ids: tuple[int, ...] | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    logprobs: Logprobs | None = None
    prompt_logprobs: tuple[dict[int, PromptLogprob] | None, ...] | None = None
    finish_reason: str | None = None


class Completion(_Reply):
    """The reply of /v1/completions."""

    choices: tuple[Choice, ...]


class ServedModel(_Reply):
    """An entry of /v1/models; an adapter has its base as `parent`."""

    id: str
    parent: str | None = None
    max_model_len: int | None = None


class _Models(_Reply):
    data: tuple[ServedModel, ...]


class _Version(_Reply):
    version: str


class _Tokens(_Reply):
    tokens: tuple[int, ...]


class VllmServer:
    """The routes of the server at `url`, called through `client`."""

    def __init__(self, url: str, client: httpx.AsyncClient, patience: Patience, random: Random) -> None:
        self.url, self.patience = url, patience
        self.name = urlsplit(url).netloc
        self._client, self._random = client, random

    async def version(self) -> str:
        """Return the server's version."""
        return _read(_Version, await self._call("GET", "/version"), self.name).version

    async def models(self) -> tuple[ServedModel, ...]:
        """Return the base model and the adapters that are served."""
        return _read(_Models, await self._call("GET", "/v1/models"), self.name).data

    async def is_healthy(self) -> bool:
        """Return whether the server answers now; asks once."""
        try:
            await self._call("GET", "/health", patience=_SHORT)
        except WireError:
            return False
        return True

    async def tokenize(self, model: str, text: str) -> tuple[int, ...]:
        """Return the ids that the server's tokenizer makes of plain `text`."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return _read(_Tokens, await self._call("POST", "/tokenize", json=body), self.name).tokens

    async def complete(self, body: dict[str, Any]) -> Choice:
        """Return the only choice of /v1/completions."""
        reply = _read(Completion, await self._call("POST", "/v1/completions", json=body), self.name)
        if len(reply.choices) != 1:
            raise BadReply(f"{len(reply.choices)} choices from {self.name} where one was asked for")
        return reply.choices[0]

    async def load_adapter(self, name: str, path: Path) -> None:
        """Serve the adapter of a folder that the server sees, under a name that was never used before."""
        try:
            await self._call("POST", "/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(path)})
        except Refused as error:  # the first try went through, though its answer did not
            if error.status != 400 or "already been loaded" not in error.detail:
                raise

    async def unload_adapter(self, name: str) -> None:
        """Serve the adapter no longer; one that is gone already is no error."""
        try:
            await self._call("POST", "/v1/unload_lora_adapter", json={"lora_name": name}, patience=_SHORT)
        except Refused as error:
            if error.status != 404:
                raise

    async def reload_weights(self, path: Path) -> None:
        """Replace the base model's weights by those of a folder; nothing is sampled meanwhile, no cache survives."""
        await self._call("POST", "/pause", params={"mode": "wait"})
        try:
            body = {"method": "reload_weights", "kwargs": {"weights_path": str(path)}}
            await self._call("POST", "/collective_rpc", json=body)
            await self._call("POST", "/reset_prefix_cache")
        finally:
            await self._call("POST", "/resume")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, str] | None = None,
        patience: Patience | None = None,
    ) -> httpx.Response:
        """Return the first reply that is no passing error; raises Refused or Unreachable."""
        patience = patience or self.patience
        deadline = time.monotonic() + patience.budget_seconds
        for attempt in range(1, patience.num_attempts + 1):
            left = deadline - time.monotonic()
            outcome = await self._try(method, path, json, params, min(patience.attempt_seconds, left))
            if isinstance(outcome, httpx.Response):
                if outcome.status_code not in RETRIED_STATUS:
                    return self._accepted(outcome)
                failure, wish = f"http {outcome.status_code}", wished_pause(outcome.headers)
            else:
                failure, wish = outcome, None
            pause = patience.pause_seconds(attempt, self._random, wish)
            if attempt == patience.num_attempts or time.monotonic() + pause >= deadline:
                break
            await asyncio.sleep(pause)
        raise Unreachable(f"api: {failure} from {self.name} after {attempt} attempts")

    async def _try(
        self, method: str, path: str, json: Any, params: dict[str, str] | None, seconds: float
    ) -> httpx.Response | str:
        """Return the reply, or what went wrong on the way."""
        try:
            async with asyncio.timeout(seconds):
                return await self._client.request(method, self.url + path, json=json, params=params)
        except TimeoutError:
            return f"no answer within {seconds:.3g} s"
        except httpx.RequestError as error:
            return type(error).__name__

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        if response.status_code >= 300:
            raise Refused(response.status_code, self.name, response.text[:2000])
        return response


def _read(kind: type[Reply], response: httpx.Response, server: str) -> Reply:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadReply(f"unreadable reply from {server}: {first['type']} {where}".strip()) from None
