"""What a policy achieved on a set of questions: trajectories and questions in, one report out.

Knows nothing of how episodes are played (`agent.rollout`) or shown (`scripts.report`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.statistics import wilson
from inbox_env.questions import Kind, Question
from inbox_env.trajectory import Trajectory
from rewards.facts import Facts, derive_facts
from rewards.ladder import LadderConfig, Mode, Outcome, classify

Role = Literal["baseline", "demonstrator", "base", "trained", "oracle", "control"]


class PolicyReport(BaseModel):
    """One row of `summary.json`; every share is in 0..1 and is 0 where nothing could count."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """Name of the policy."""
    role: Role
    """What the policy is in the comparison."""
    split: str
    """Split of the questions."""
    num_questions: int
    """Questions played, once each."""
    num_correct: int
    """Right answers (in find mode: right mails cited) and right abstentions."""
    accuracy: float
    """`num_correct / num_questions`."""
    ci95: tuple[float, float]
    """Wilson interval of the accuracy."""
    found: float
    """Share of answerable questions with a gold mail among the hits or opened."""
    read: float
    """Share of answerable questions with a gold mail opened."""
    cited: float
    """Share of answerable questions with a gold mail among the sources."""
    mean_turns: float
    """Turns an episode took."""
    mean_turns_correct: float | None
    """The same over correct episodes; null when there are none."""
    invalid_calls: float
    """Calls that were no call or failed, a turn."""
    abstained_right: float
    """Share of unanswerable questions where the policy said that it does not know."""
    abstained_wrong: float
    """Share of answerable questions where it said so."""
    answered_wrong: float
    """Share of all questions with an answer that is not right."""
    by_kind: dict[Kind, float]
    """Accuracy by kind of question."""


def summarise(
    name: str,
    role: Role,
    split: str,
    trajectories: Iterable[Trajectory],
    questions: Sequence[Question],
    mode: Mode = "answer",
) -> PolicyReport:
    """Return the report over `trajectories`, each a play of one of `questions`.

    An episode that an outage ended counts as not correct. Raises ValueError for a trajectory of an unknown question.
    """
    plays = _pair(trajectories, questions)
    config = LadderConfig(mode=mode)
    facts = [derive_facts(trajectory, question) for trajectory, question in plays]
    outcomes = [classify(*play, config, fact) for play, fact in zip(plays, facts, strict=True)]
    is_correct = [outcome in (Outcome.RIGHT, Outcome.ABSTAINED) for outcome in outcomes]
    answerable = [fact for fact, (_, question) in zip(facts, plays, strict=True) if question.answerable]
    abstained = [_abstained(outcome, fact) for outcome, fact in zip(outcomes, facts, strict=True)]
    is_answerable = [question.answerable for _, question in plays]
    turns = [fact.num_turns for fact in facts]
    kinds = [question.kind for _, question in plays]
    return PolicyReport(
        name=name,
        role=role,
        split=split,
        num_questions=len(plays),
        num_correct=sum(is_correct),
        accuracy=_mean(is_correct),
        ci95=wilson(sum(is_correct), len(plays)),
        found=_mean([fact.gold_found for fact in answerable]),
        read=_mean([fact.gold_read for fact in answerable]),
        cited=_mean([fact.gold_cited for fact in answerable]),
        mean_turns=_mean(turns),
        mean_turns_correct=_mean(_where(turns, is_correct)) if any(is_correct) else None,
        invalid_calls=sum(fact.num_invalid_calls for fact in facts) / max(1, sum(turns)),
        abstained_right=_mean(_where(abstained, [not flag for flag in is_answerable])),
        abstained_wrong=_mean(_where(abstained, is_answerable)),
        answered_wrong=_mean([outcome is Outcome.WRONG for outcome in outcomes]),
        by_kind={kind: _mean(_where(is_correct, [kind == other for other in kinds])) for kind in sorted(set(kinds))},
    )


def _pair(trajectories: Iterable[Trajectory], questions: Sequence[Question]) -> list[tuple[Trajectory, Question]]:
    by_id = {(question.inbox, question.id): question for question in questions}
    plays = []
    for trajectory in trajectories:
        question = by_id.get((trajectory.inbox, trajectory.question_id))
        if question is None:
            raise ValueError(f"no question {trajectory.question_id!r} of inbox {trajectory.inbox!r}")
        plays.append((trajectory, question))
    return plays


def _abstained(outcome: Outcome, facts: Facts) -> bool:
    """Said "I don't know", whether rightly or not; a limit says nothing."""
    return facts.gave_up and outcome in (Outcome.ABSTAINED, Outcome.GAVE_UP)


def _where(values: Sequence[float], flags: Sequence[bool]) -> list[float]:
    return [value for value, flag in zip(values, flags, strict=True) if flag]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
