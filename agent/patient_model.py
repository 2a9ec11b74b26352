"""A chat model that is asked many small things: bounded in time, in calls at once, and in what it may cost.

Single failures make single replies missing. After three in a row the model counts as out: everybody waits until one
call succeeds, and when none does in time the run ends, to be resumed. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from agent.policies.api_client import ApiClient, Completion
from agent.policy import PolicyFailure, Usage
from inbox_env.errors import ResourceError, UpstreamError
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeFailure, JudgeReply, Message

MAX_FAILURES = 3  # in a row: then the model is out

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """What a model is called in messages, what its limits are called, and how one goes on after a stop."""

    name: str
    calls_option: str
    cost_option: str
    tokens_option: str
    resume: str  # after a budget that is used up
    mend: str  # after an outage


class Budget:
    """What a model may still take; what it took is counted in the cache's file, so that it outlasts the process."""

    def __init__(
        self, ledger: JudgeCache, role: Role, max_calls: int | None = None, max_cost: float | None = None
    ) -> None:
        self._ledger, self._role, self._max_calls, self._max_cost = ledger, role, max_calls, max_cost

    def take(self) -> None:
        """Count a call that is about to be made; raises ResourceError when it may not be."""
        spent, role = self._ledger.spent(), self._role
        if self._max_calls is not None and spent.num_calls >= self._max_calls:
            raise self._spent(f"{self._max_calls} calls", role.calls_option)
        if self._max_cost is not None and spent.cost >= self._max_cost:
            raise self._spent(f"{self._max_cost:g} dollars", role.cost_option)
        self._ledger.spend(1, 0.0)

    def pay(self, cost: float) -> None:
        """Count what a call cost."""
        if cost:
            self._ledger.spend(0, cost)

    def _spent(self, what: str, option: str) -> ResourceError:
        next_step = f"raise {option} and {self._role.resume}"
        return ResourceError(78, f"the {self._role.name}'s {what} are used up", next_step=next_step)


class Slots:
    """How many calls may be under way at once, of all models that share them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._here: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    def here(self) -> asyncio.Semaphore:
        """Return the semaphore of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._here is None or self._here[0] is not loop:
            self._here = (loop, asyncio.Semaphore(self._count))
        return self._here[1]


@dataclass(slots=True)
class _Gates:
    """What belongs to one event loop (every training step has its own).

    `lost`: why nobody need wait any more; `ended`: what would fail every call, as a refused key.
    """

    loop: asyncio.AbstractEventLoop
    pausing: asyncio.Lock
    lost: str = ""
    ended: UpstreamError | None = None


class PatientModel:
    """A `JudgeModel` behind an API; `patient` is the same model, asked for as long as a run may pause.

    `usage` counts the tokens of all its replies so far.
    """

    def __init__(
        self, client: ApiClient, patient: ApiClient, budget: Budget, role: Role, *, name: str, slots: Slots
    ) -> None:
        self.name, self.usage = name, Usage()
        self._client, self._patient, self._budget = client, patient, budget
        self._role, self._slots = role, slots
        self._num_failed = 0
        self._gates: _Gates | None = None

    async def ask(self, messages: list[Message]) -> JudgeReply:
        """Return the reply. Raises JudgeFailure when there is none, UpstreamError when the model is out for good.

        Raises ResourceError when the budget is used up.
        """
        gates = self._gates_here()
        async with self._slots.here():
            if gates.ended is not None:
                raise gates.ended
            if self._is_out:
                async with gates.pausing:  # one asks, the others wait for what becomes of it
                    if self._is_out:
                        return await self._sit_out(messages, gates)
            try:
                completion = await self._complete(self._client, messages)
            except UpstreamError as error:
                gates.ended = error
                raise
            except PolicyFailure as failure:
                self._num_failed += 1
                raise JudgeFailure(str(failure)) from None
            self._num_failed = 0
            return self._reply(completion)

    @property
    def _is_out(self) -> bool:
        return self._num_failed >= MAX_FAILURES

    async def _sit_out(self, messages: list[Message], gates: _Gates) -> JudgeReply:
        if not gates.lost:
            _log.warning("the %s %s is out of order: waiting for it", self._role.name, self.name)
            try:
                completion = await self._complete(self._patient, messages)
            except PolicyFailure as failure:
                gates.lost = str(failure)
        if gates.lost:
            what = f"the {self._role.name} is out of order: {gates.lost}"
            raise UpstreamError(75, what, where=self.name, next_step=self._role.mend)
        _log.warning("the %s %s is back", self._role.name, self.name)
        self._num_failed = 0
        return self._reply(completion)

    async def _complete(self, client: ApiClient, messages: list[Message]) -> Completion:
        self._budget.take()
        completion = await client.complete([dict(message) for message in messages])
        self._budget.pay(completion.cost)
        self.usage += completion.usage
        return completion

    def _reply(self, completion: Completion) -> JudgeReply:
        if completion.is_cut:  # the same question would be cut again
            what = f"the reply was cut by {self._role.tokens_option} or the model's context"
            raise JudgeFailure(what, cost=completion.cost)
        return JudgeReply(completion.text, completion.cost)

    def _gates_here(self) -> _Gates:
        loop = asyncio.get_running_loop()
        if self._gates is None or self._gates.loop is not loop:
            self._gates = _Gates(loop, asyncio.Lock())
        return self._gates
