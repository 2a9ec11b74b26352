"""A judge behind any API that litellm reaches: bounded in time, in calls at once, and in what it may cost.

Single failures make single verdicts unscorable. After three in a row the judge counts as out: everybody waits until
one call succeeds, and when none does in time the run ends, to be resumed. Knows nothing of what is judged.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from agent.judge_config import JudgeConfig
from agent.policies.api import make_client
from agent.policies.api_client import ApiClient, Completion, Patience
from agent.policy import PolicyFailure
from inbox_env.errors import ResourceError, UpstreamError, UsageError
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeFailure, JudgeReply, Message

MAX_FAILURES = 3  # in a row: then the judge is out

_log = logging.getLogger(__name__)


class Budget:
    """What the judge may still take; what it took is counted in the cache's file, so that it outlasts the process."""

    def __init__(self, ledger: JudgeCache, max_calls: int | None = None, max_cost: float | None = None) -> None:
        self._ledger, self._max_calls, self._max_cost = ledger, max_calls, max_cost

    def take(self) -> None:
        """Count a call that is about to be made; raises ResourceError when it may not be."""
        spent = self._ledger.spent()
        if self._max_calls is not None and spent.num_calls >= self._max_calls:
            raise _spent(f"the judge's {self._max_calls} calls are used up", "raise judge.max_calls")
        if self._max_cost is not None and spent.cost >= self._max_cost:
            raise _spent(f"the judge's {self._max_cost:g} dollars are used up", "raise judge.max_cost")
        self._ledger.spend(1, 0.0)

    def pay(self, cost: float) -> None:
        """Count what a call cost."""
        if cost:
            self._ledger.spend(0, cost)


@dataclass(slots=True)
class _Gates:
    """What belongs to one event loop (every training step has its own); `lost`: why nobody need wait any more."""

    loop: asyncio.AbstractEventLoop
    slots: asyncio.Semaphore
    pausing: asyncio.Lock
    lost: str = ""


class ApiJudge:
    """A `JudgeModel` behind an API; `patient` is the same model, asked for as long as a run may pause."""

    def __init__(self, client: ApiClient, patient: ApiClient, budget: Budget, *, name: str, concurrency: int) -> None:
        self.name = name
        self._client, self._patient, self._budget, self._concurrency = client, patient, budget, concurrency
        self._num_failed = 0
        self._gates: _Gates | None = None

    async def ask(self, messages: list[Message]) -> JudgeReply:
        """Return the reply. Raises JudgeFailure when there is none, UpstreamError when the judge is out for good.

        Raises ResourceError when the budget is used up.
        """
        gates = self._gates_here()
        async with gates.slots:
            if self._is_out:
                async with gates.pausing:  # one asks, the others wait for what becomes of it
                    if self._is_out:
                        return await self._sit_out(messages, gates)
            try:
                completion = await self._complete(self._client, messages)
            except PolicyFailure as failure:
                self._num_failed += 1
                raise JudgeFailure(str(failure)) from None
            self._num_failed = 0
            return _reply(completion)

    @property
    def _is_out(self) -> bool:
        return self._num_failed >= MAX_FAILURES

    async def _sit_out(self, messages: list[Message], gates: _Gates) -> JudgeReply:
        if not gates.lost:
            _log.warning("the judge %s is out of order: waiting for it", self.name)
            try:
                completion = await self._complete(self._patient, messages)
            except PolicyFailure as failure:
                gates.lost = str(failure)
        if gates.lost:
            what, next_step = f"the judge is out of order: {gates.lost}", "see to the judge and resume the run"
            raise UpstreamError(75, what, where=self.name, next_step=next_step)
        _log.warning("the judge %s is back", self.name)
        self._num_failed = 0
        return _reply(completion)

    async def _complete(self, client: ApiClient, messages: list[Message]) -> Completion:
        self._budget.take()
        completion = await client.complete([dict(message) for message in messages])
        self._budget.pay(completion.cost)
        return completion

    def _gates_here(self) -> _Gates:
        loop = asyncio.get_running_loop()
        if self._gates is None or self._gates.loop is not loop:
            self._gates = _Gates(loop, asyncio.Semaphore(self._concurrency), asyncio.Lock())
        return self._gates


def _reply(completion: Completion) -> JudgeReply:
    if completion.is_cut:  # the same question would be cut again
        raise JudgeFailure("the reply was cut by judge.max_tokens or the model's context", cost=completion.cost)
    return JudgeReply(completion.text, completion.cost)


def make_judge_model(config: JudgeConfig, ledger: JudgeCache) -> ApiJudge:
    """Return the judge that `config` names; raises UsageError when litellm or the price it needs is missing."""
    if config.model is None:
        raise UsageError(76, "no judge is named", next_step='set judge.model, such as "openai/NAME"')
    retrying = Patience(config.call_seconds, config.retry_seconds)
    pausing = Patience(config.call_seconds, config.pause_seconds)
    client, patient = (
        make_client(config.model, base_url=config.api_base, max_tokens=config.max_tokens, patience=patience)
        for patience in (retrying, pausing)
    )
    if config.max_cost is not None and not client.is_priced():
        next_step = "set judge.max_calls in place of judge.max_cost"
        raise UsageError(77, "no price is known for the judge", where=config.model, next_step=next_step)
    name = f"{config.model} at {config.api_base}" if config.api_base else config.model
    budget = Budget(ledger, config.max_calls, config.max_cost)
    return ApiJudge(client, patient, budget, name=name, concurrency=config.concurrency)


def _spent(what: str, next_step: str) -> ResourceError:
    return ResourceError(78, what, next_step=f"{next_step} and go on with --resume; what was judged is kept")
