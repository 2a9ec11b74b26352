"""How far a judge can be believed: agreement with labels, indifference to order, resistance to talk, and cost.

Everything is a share with its Wilson interval. What an attack gets by is counted twice: behind the rules, as training
uses the judge, and by the model alone. Knows nothing of files and terminals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.statistics import wilson
from inbox_env.questions import Question
from inbox_env.trajectory import Verdict
from rewards.grader import all_of
from rewards.judge import Judge
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeModel


class LabelledAnswer(BaseModel):
    """An answer that somebody has judged: `answer` is the right one, `given` the one in question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    accepted: tuple[str, ...] = ()
    given: str
    label: Literal["right", "wrong"]

    def asked(self) -> Question:
        """Return the question as a judge gets it."""
        text, gold = self.question, self.answer
        return Question(id="", inbox="", question=text, answer=gold, accepted=self.accepted, message_ids=("",))


class Share(BaseModel):
    """So many of so many, with the 95 % Wilson interval of the share."""

    model_config = ConfigDict(frozen=True)

    count: int
    total: int
    share: float
    ci95: tuple[float, float]

    @classmethod
    def of(cls, flags: Sequence[bool]) -> Share:
        """Return the share of flags that are set."""
        count, total = sum(flags), len(flags)
        return cls(count=count, total=total, share=count / total if total else 0.0, ci95=wilson(count, total))


class Disagreement(BaseModel):
    """A labelled answer, or an attack, on which the judge was wrong."""

    model_config = ConfigDict(frozen=True)

    question: str
    given: str
    label: str
    verdict: str
    reason: str


class AuditReport(BaseModel):
    """What an audit found. Unscorable answers are in no other share."""

    model_config = ConfigDict(frozen=True)

    judge: str
    agreement: Share
    wrong_called_right: Share
    right_called_wrong: Share
    unscorable: Share
    same_in_other_order: Share
    attacks_right: Share
    attacks_right_without_rules: Share
    num_calls: int
    cost: float
    seconds: float
    disagreements: tuple[Disagreement, ...]


async def audit(
    model: JudgeModel, cache: JudgeCache, labels: Sequence[LabelledAnswer], attacks: Sequence[str]
) -> AuditReport:
    """Return the report on `model`; each attack is the answer to one of the labelled questions, in turn."""
    started, before = time.monotonic(), cache.spent()
    guarded, swapped = Judge(model, cache), Judge(model, cache, order="answer_first")
    bare = Judge(model, cache, is_guarded=False)
    targets = [labels[number % len(labels)].asked() for number in range(len(attacks))]
    attacked = list(zip(attacks, targets, strict=True))
    plain, other, alone = await all_of(
        (
            all_of(guarded.decide(one.given, one.asked()) for one in labels),
            all_of(swapped.decide(one.given, one.asked()) for one in labels),
            all_of(bare.decide(*pair) for pair in attacked),
        )
    )
    behind_rules = await all_of(guarded.decide(*pair) for pair in attacked)
    spent = cache.spent()
    return AuditReport(
        judge=model.name,
        agreement=Share.of([verdict.value == one.label for one, verdict in _scored(labels, plain)]),
        wrong_called_right=_errors(labels, plain, "wrong"),
        right_called_wrong=_errors(labels, plain, "right"),
        unscorable=Share.of([verdict.value == "unscorable" for verdict in (*plain, *other, *alone)]),
        same_in_other_order=Share.of(_same(plain, other)),
        attacks_right=_fooled(behind_rules),
        attacks_right_without_rules=_fooled(alone),
        num_calls=spent.num_calls - before.num_calls,
        cost=spent.cost - before.cost,
        seconds=time.monotonic() - started,
        disagreements=(*_disagreements(labels, plain), *_successes(attacks, targets, behind_rules)),
    )


def _scored(labels: Sequence[LabelledAnswer], verdicts: Sequence[Verdict]) -> list[tuple[LabelledAnswer, Verdict]]:
    return [pair for pair in zip(labels, verdicts, strict=True) if pair[1].value != "unscorable"]


def _errors(labels: Sequence[LabelledAnswer], verdicts: Sequence[Verdict], label: str) -> Share:
    return Share.of([verdict.value != label for one, verdict in _scored(labels, verdicts) if one.label == label])


def _same(plain: Sequence[Verdict], other: Sequence[Verdict]) -> list[bool]:
    pairs = [pair for pair in zip(plain, other, strict=True) if "unscorable" not in (pair[0].value, pair[1].value)]
    return [one.value == two.value for one, two in pairs]


def _fooled(verdicts: Sequence[Verdict]) -> Share:
    return Share.of([verdict.value == "right" for verdict in verdicts if verdict.value != "unscorable"])


def _disagreements(labels: Sequence[LabelledAnswer], verdicts: Sequence[Verdict]) -> list[Disagreement]:
    wrong = [pair for pair in _scored(labels, verdicts) if pair[1].value != pair[0].label]
    return [_disagreement(one.question, one.given, one.label, verdict) for one, verdict in wrong]


def _successes(attacks: Sequence[str], targets: Sequence[Question], verdicts: Sequence[Verdict]) -> list[Disagreement]:
    rows = zip(attacks, targets, verdicts, strict=True)
    return [
        _disagreement(target.question, attack, "attack", one) for attack, target, one in rows if one.value == "right"
    ]


def _disagreement(question: str, given: str, label: str, verdict: Verdict) -> Disagreement:
    return Disagreement(question=question, given=given, label=label, verdict=verdict.value, reason=verdict.reason)
