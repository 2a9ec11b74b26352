"""The judge of last resort: asked only where the deterministic matcher cannot decide whether an answer is right.

A rule, the cache or a model decides, in this order. A model that is out of order or says no readable verdict gives
*unscorable*, never wrong. Knows nothing of rewards, and of no provider.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory, Verdict
from rewards.answers import match_answer
from rewards.judge_cache import JudgeCache
from rewards.judge_guard import rule_out
from rewards.judge_model import JudgeFailure, JudgeModel, ask_for
from rewards.judge_prompt import Order, judge_messages, messages_key

RULE = "rule"
MAX_REASON_CHARS = 300


class VerdictReply(BaseModel):
    """The one JSON object that a judge may reply with; anything else is no verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(max_length=4000)
    verdict: Literal["right", "wrong"]


class Judge:
    """Decides about answers by asking `model`; equal questions are asked once.

    `is_guarded` false asks the model even about what a rule settles, which only an audit wants.
    """

    def __init__(
        self,
        model: JudgeModel,
        cache: JudgeCache | None = None,
        *,
        is_guarded: bool = True,
        order: Order = "gold_first",
    ) -> None:
        self.model, self.cache = model, cache or JudgeCache()
        self._is_guarded, self._order = is_guarded, order
        self._asking: dict[str, asyncio.Task[Verdict]] = {}

    async def judged(self, trajectory: Trajectory, question: Question) -> Trajectory:
        """Return the trajectory with a verdict where one is needed: an answer that the matcher leaves undecided.

        A verdict that is there and answers the same question is kept. Raises what `JudgeModel.ask` raises for good.
        """
        if not needs_verdict(trajectory, question):
            return trajectory
        verdict, answer = trajectory.verdict, trajectory.answer or ""
        if verdict is not None and verdict.value != "unscorable" and verdict.key == self.key(answer, question):
            return trajectory
        return trajectory.model_copy(update={"verdict": await self.decide(answer, question)})

    async def decide(self, answer: str, question: Question) -> Verdict:
        """Return the verdict on `answer`, whatever the matcher says of it."""
        key = self.key(answer, question)
        if self._is_guarded and (rule := rule_out(answer, question)):
            return Verdict(value="wrong", judge=RULE, key=key, reason=rule)
        if (said := self.cache.get(key)) is not None:
            return self._verdict(key, VerdictReply.model_validate_json(said))
        if (asked := self._asking.get(key)) is not None:
            return (await asyncio.shield(asked)).model_copy(update={"num_calls": 0, "cost": 0.0})
        self._asking[key] = asking = asyncio.ensure_future(self._ask(key, answer, question))
        asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)  # others may wait for it when this one is cancelled

    def key(self, answer: str, question: Question) -> str:
        """Return what identifies this question to this judge."""
        return messages_key(judge_messages(answer, question, self._order), self.model.name)

    async def _ask(self, key: str, answer: str, question: Question) -> Verdict:
        try:
            reply, spent = await ask_for(VerdictReply, self.model, judge_messages(answer, question, self._order))
        except JudgeFailure as failure:
            return Verdict(
                value="unscorable",
                judge=self.model.name,
                key=key,
                reason=str(failure),
                num_calls=failure.num_calls,
                cost=failure.cost,
            )
        self.cache.put(key, reply.model_dump_json())
        return self._verdict(key, reply).model_copy(update={"num_calls": spent.num_calls, "cost": spent.cost})

    def _verdict(self, key: str, reply: VerdictReply) -> Verdict:
        return Verdict(value=reply.verdict, judge=self.model.name, key=key, reason=reply.reason[:MAX_REASON_CHARS])


def needs_verdict(trajectory: Trajectory, question: Question) -> bool:
    """Return whether only a judge can tell if the answer is right."""
    if trajectory.stop_reason is not StopReason.ANSWERED or not trajectory.answer or question.answer is None:
        return False
    return match_answer(trajectory.answer, question) is None
