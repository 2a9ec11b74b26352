"""RULER: where there is no right answer to compare with, one call of a judge ranks the attempts of a group.

After ART's RULER (relative universal LLM-elicited rewards): scores in 0..1 are rewards, meant only beside each other.
What the attempts begin with alike is shown once, each is cut to a length, and their order is shuffled by a seed that
follows from the group, so that a replay asks the same. Equal attempts are shown once. Knows nothing of advantages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.base import Reward
from rewards.judge_cache import JudgeCache
from rewards.judge_guard import rule_out
from rewards.judge_model import JudgeFailure, JudgeModel, Message, ask_for
from rewards.judge_prompt import CUT, MAX_FIELD_CHARS, enclosed, messages_key, plain, prompt_text

PART = "ruler"
MAX_ATTEMPT_CHARS = 6000
MAX_RESULT_CHARS = 1500
NOTHING_TO_RANK = 0.5  # for attempts that are all alike: they teach nothing


class AttemptScore(BaseModel):
    """What one attempt is worth beside the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: int
    reason: str = Field(default="", max_length=4000)
    score: float = Field(ge=0, le=1, allow_inf_nan=False)


class RankingReply(BaseModel):
    """The one JSON object that the judge may reply with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[AttemptScore, ...]


class Ruler:
    """Ranks groups by asking `model`; equal groups are asked about once."""

    def __init__(
        self, model: JudgeModel, cache: JudgeCache | None = None, *, seed: int = 0, max_chars: int = MAX_ATTEMPT_CHARS
    ) -> None:
        self.model, self.cache = model, cache or JudgeCache()
        self._seed, self._max_chars = seed, max_chars

    async def rank(self, trajectories: Sequence[Trajectory], question: Question) -> list[Reward]:
        """Return one reward in 0..1 for each attempt, in the order given.

        An attempt that an outage ended is unscorable, and so are all when the judge gives no readable ranking; one that
        a rule settles (an answer that is no answer) is worth 0 without being shown.
        """
        rules = [rule_out(one.answer, question) if one.answer is not None else "" for one in trajectories]
        shown = [
            place
            for place, one in enumerate(trajectories)
            if one.stop_reason is not StopReason.ERROR and not rules[place]
        ]
        common, attempts = attempt_texts([trajectories[place] for place in shown], self._max_chars)
        texts = dict(zip(shown, attempts, strict=True))
        try:
            scores = await self._scores(common, sorted(set(attempts)), question)
        except JudgeFailure as failure:
            return [Reward.unscorable(f"no ranking: {failure}")] * len(trajectories)
        return [
            _reward(trajectory, rules[place], scores.get(texts.get(place, "")))
            for place, trajectory in enumerate(trajectories)
        ]

    async def _scores(self, common: str, texts: list[str], question: Question) -> dict[str, float]:
        """Return the score of each distinct attempt, by its text."""
        if len(texts) < 2:
            return dict.fromkeys(texts, NOTHING_TO_RANK)
        order = list(texts)
        Random(f"{self._seed}:{question.inbox}:{question.id}:{len(order)}").shuffle(order)
        messages = ranking_messages(common, order, question)
        key = messages_key(messages, self.model.name)
        if (said := self.cache.get(key)) is not None:
            return {text: float(score) for text, score in zip(order, json.loads(said), strict=True)}
        numbers = set(range(1, len(order) + 1))

        def is_whole(reply: RankingReply) -> bool:
            return len(reply.scores) == len(numbers) and {one.attempt for one in reply.scores} == numbers

        reply, _ = await ask_for(RankingReply, self.model, messages, is_whole)
        scores = [one.score for one in sorted(reply.scores, key=lambda one: one.attempt)]
        self.cache.put(key, json.dumps(scores))
        return dict(zip(order, scores, strict=True))


def ranking_messages(common: str, texts: Sequence[str], question: Question) -> list[Message]:
    """Return what the judge is asked about the attempts, in the order given; `common` is what all begin with."""
    parts = [f"Question: {plain(question.question, MAX_FIELD_CHARS)}"]
    parts += [enclosed("beginning of every attempt", common)] if common else []
    parts += [enclosed(f"attempt {number}", text) for number, text in enumerate(texts, 1)]
    return [
        {"role": "system", "content": prompt_text("ruler_prompt")},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def attempt_texts(trajectories: Sequence[Trajectory], max_chars: int = MAX_ATTEMPT_CHARS) -> tuple[str, list[str]]:
    """Return the turns that all attempts begin with, and the rest of each; all cut in the middle to `max_chars`."""
    attempts = [[_turn_text(turn) for turn in trajectory.turns] for trajectory in trajectories]
    num_common = 0
    for turns in zip(*attempts, strict=False):
        if len(attempts) < 2 or len(set(turns)) > 1:
            break
        num_common += 1
    common = _cut_middle("\n".join(attempts[0][:num_common]) if attempts else "", max_chars)
    return common, [
        _cut_middle("\n".join([*turns[num_common:], _ending(trajectory)]), max_chars)
        for turns, trajectory in zip(attempts, trajectories, strict=True)
    ]


def _turn_text(turn: Turn) -> str:
    return "\n".join(map(_call_text, turn.results)) or "(no call)"


def _call_text(result: ToolResultRecord) -> str:
    arguments = json.dumps(result.arguments, ensure_ascii=False, default=str)
    return f"> {result.name} {arguments}\n{plain(result.content, MAX_RESULT_CHARS)}"


def _ending(trajectory: Trajectory) -> str:
    if trajectory.stop_reason is StopReason.ANSWERED:
        return f"ANSWER: {plain(trajectory.answer or '', MAX_FIELD_CHARS)}\nCITED: {len(trajectory.sources)} mails"
    if trajectory.stop_reason is StopReason.GAVE_UP:
        return "ANSWER: I don't know"
    return f"NO ANSWER: {trajectory.stop_reason.value}"


def _cut_middle(text: str, max_chars: int) -> str:
    """The end matters most: it has the answer and the mail it was read in."""
    if len(text) <= max_chars:
        return text
    head = max_chars // 4
    return f"{text[:head]}{CUT}\n{text[len(text) - (max_chars - head - len(CUT) - 1) :]}"


def _reward(trajectory: Trajectory, rule: str, score: float | None) -> Reward:
    if trajectory.stop_reason is StopReason.ERROR:
        return Reward.unscorable(trajectory.error or "the episode ended in an error")
    return Reward.of({PART: 0.0 if rule or score is None else score})
