"""One completion of a chat model behind an API (by litellm): patience with outages, and no secret in any message.

Keys come from the environment alone. What an API says about a failure is never repeated, because it may repeat the
key; the kind of failure and its HTTP status are. Knows nothing of episodes or tools.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

from agent.policy import PolicyFailure, Usage
from inbox_env.errors import UpstreamError

_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "stamina")
_REFUSED = {401: "the API refuses the key", 403: "the API refuses access", 404: "the API has no such model"}
_PASSING = {408, 409, 425, 429}
MAX_TOKENS = 4096  # of one reply
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for one try, between tries, and until the last try of a call may begin."""

    call_seconds: float = 120.0
    budget_seconds: float = 300.0
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class RawCall:
    """A tool call as the API gave it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of the model; `is_cut`: by a token limit. `cost` is in dollars, 0 where litellm knows no price."""

    text: str
    calls: tuple[RawCall, ...]
    is_cut: bool
    usage: Usage
    cost: float = 0.0


class ApiClient:
    """Asks one model; `base_url` overrides where its provider is found."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens: int = MAX_TOKENS,
        patience: Patience | None = None,
    ) -> None:
        self.model = model
        self._patience = patience or Patience()
        self._random = Random(seed)
        self._options: dict[str, Any] = {
            "model": model,
            "temperature": temperature,
            "seed": seed,
            "max_tokens": max_tokens,
            "drop_params": True,  # what a known model does not take is left out
            "allowed_openai_params": ["tools"],  # except for what an episode cannot do without
            "num_retries": 0,
            "max_retries": 0,
        }
        self._options |= {"api_base": base_url} if base_url else {}
        self._options |= {"api_key": api_key} if api_key else {}

    def load(self) -> None:
        """Import the client library, which takes seconds: before any deadline begins."""
        _quiet_litellm()

    def is_priced(self) -> bool:
        """Return whether litellm knows what the model costs."""
        try:
            _quiet_litellm().get_model_info(self.model)
        except Exception:  # of no one class
            return False
        return True

    async def complete(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Completion:
        """Return the model's answer, tried again while an outage may pass.

        Raises PolicyFailure when it did not pass within the budget, UpstreamError for what would fail every call
        (a refused key, an unknown model).
        """
        import stamina

        deadline = time.monotonic() + self._patience.budget_seconds
        num_tries = 0

        def wait_for(error: Exception) -> bool | float:
            """Return how long to wait before the next try, or False when there is none."""
            wait = self._wait_seconds(error, num_tries) if isinstance(error, _Outage) else math.inf
            return wait if time.monotonic() + wait <= deadline else False

        try:
            async for attempt in stamina.retry_context(on=wait_for, attempts=None, timeout=None):
                with attempt:
                    num_tries = attempt.num
                    return await self._try(messages, tools)
        except _Outage as outage:
            tries = f"{num_tries} {'try' if num_tries == 1 else 'tries'}"
            raise PolicyFailure("api", f"{outage.what} after {tries}") from None
        raise AssertionError  # an attempt returns or raises

    async def _try(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> Completion:
        litellm = _quiet_litellm()
        options = self._options | ({"tools": tools} if tools else {})
        try:
            async with asyncio.timeout(self._patience.call_seconds):
                response = await litellm.acompletion(messages=messages, **options)
        except TimeoutError:
            raise _Outage("no answer in time") from None
        except litellm.ContextWindowExceededError:
            return Completion("", (), True, Usage())
        except Exception as error:
            raise self._judged(error) from None
        return _read(response)

    def _judged(self, error: Exception) -> Exception:
        """Return what a failed call means: an outage that may pass, the user's to mend, or this episode's end."""
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            return PolicyFailure("api", type(error).__name__)
        if status in _REFUSED:
            next_step = "set the provider's key in the environment" if status == 401 else "check the model's name"
            return UpstreamError(65, f"{_REFUSED[status]} ({status})", where=self.model, next_step=next_step)
        what = "no connection" if "Connection error" in str(error) else f"{type(error).__name__} ({status})"
        if status in _PASSING or status >= 500:
            return _Outage(what, _retry_after(error))
        return PolicyFailure("api", what)

    def _wait_seconds(self, outage: _Outage, num_tries: int) -> float:
        """Return how long to wait: what the API asked for and a little more, else twice as long each time, jittered."""
        if outage.retry_after is not None:
            return outage.retry_after * (1 + 0.1 * self._random.random())
        patience = self._patience
        longest = min(patience.max_wait_seconds, patience.first_wait_seconds * 2.0 ** min(num_tries - 1, 30))
        return longest * (0.5 + 0.5 * self._random.random())


class _Outage(Exception):
    """A failure that may pass; `retry_after` is how long the API asked to wait."""

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.what, self.retry_after = what, retry_after


def _read(response: Any) -> Completion:
    if not response.choices:
        raise _Outage("an answer without choices")
    choice = response.choices[0]
    raw = choice.message.tool_calls or []
    calls = tuple(
        RawCall(call.id or f"call_{number}", call.function.name or "", call.function.arguments or "{}")
        for number, call in enumerate(raw)
    )
    usage = getattr(response, "usage", None)
    counts = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    cost = getattr(response, "_hidden_params", {}).get("response_cost") or 0.0
    is_cut = choice.finish_reason == "length"
    return Completion(choice.message.content or "", calls, is_cut, Usage(*counts), float(cost))


def _retry_after(error: Exception) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date), or None."""
    headers: Mapping[str, str] = (
        getattr(error, "litellm_response_headers", None)
        or getattr(getattr(error, "response", None), "headers", None)
        or {}
    )
    value = headers.get("retry-after", "")
    try:
        return min(max(0.0, float(value)), 86_400.0)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _quiet_litellm() -> Any:
    """Return litellm (slow to import, so only when it is needed) without telemetry, prints, log lines and downloads."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches a price list on import
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    # A call that is given up while litellm prepares it in a thread is no mistake of anybody's.
    warnings.filterwarnings("ignore", message="coroutine '.*acompletion' was never awaited")
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def load_litellm() -> Any:
    """Return litellm as this project uses it: quiet, and with the price list that it was shipped with."""
    return _quiet_litellm()
