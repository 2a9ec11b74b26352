"""The ladder: wrong < gave up < right, and bonuses that never cross a tier.

| outcome | base | added |
|---|---|---|
| wrong: an answer that is not right, or any answer to an unanswerable question | `wrong` | process |
| gave_up: "I don't know" on an answerable question, or out of turns, tokens or time | `gave_up` | |
| right | `right` | cited, brevity, process |
| abstained: "I don't know" on an unanswerable question, after enough searches | `abstained_right` | |
| each call that was no call or failed | | `invalid_call` |
| ended by a limit | | `cut_short`; both together take at most half the way to the next tier |
| unscorable: an outage ended the episode, a judge was asked and gave no verdict, or there is no label | none | |

Knows nothing of groups, advantages or policies.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.base import Reward, RewardFn
from rewards.citations import supported_sources
from rewards.facts import Facts, derive_facts

Mode = Literal["answer", "find"]
BEST_TURNS, NO_BREVITY_TURNS = 3, 10  # search, read, answer is as short as an honest episode gets


class Outcome(StrEnum):
    """The tier of an episode."""

    WRONG = "wrong"
    GAVE_UP = "gave_up"
    RIGHT = "right"
    ABSTAINED = "abstained"
    UNSCORABLE = "unscorable"


class LadderConfig(BaseModel):
    """What each outcome is worth; tiers that could cross are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    mode: Mode = "answer"
    """answer: the answer text must be right. find: a gold mail must be cited; the answer text is not looked at."""
    wrong: float = -1.0
    """Reward of a wrong answer, and of any answer to an unanswerable question."""
    gave_up: float = 0.0
    """Reward of "I don't know" on an answerable question, and of an episode cut by a limit."""
    right: float = 1.0
    """Reward of a right answer, before bonuses."""
    abstained_right: float = 1.0
    """Reward of "I don't know" on an unanswerable question."""
    cited_bonus: float = Field(default=0.2, ge=0)
    """Added to a right answer, times the share of its sources that support it (answer mode only)."""
    brevity_bonus: float = Field(default=0.1, ge=0)
    """At most this much is added to a right answer: half for few turns, half for few sources."""
    invalid_call: float = Field(default=-0.05, le=0)
    """Added for each call that was no call or failed; the episode goes on."""
    cut_short: float = Field(default=0.0, le=0)
    """Added when a limit ended the episode: without it, rambling on is worth as much as "I don't know"."""
    process_bonus: float = Field(default=0.0, ge=0, le=0.1)
    """Added to a given answer, right or wrong: half for having found a gold mail, half for having read it."""
    min_searches_to_abstain: int = Field(default=0, ge=0)
    """A right "I don't know" earns `gave_up` only, unless this many different searches ran before it."""
    max_sources: int = Field(default=2, ge=1)
    """In find mode more cited mails than this are a wrong answer: citing everything finds nothing."""

    @model_validator(mode="after")
    def _tiers_are_apart(self) -> LadderConfig:
        if self.tier_gap <= 0:
            raise ValueError(
                "tiers cross: wrong + process_bonus must be below gave_up, and gave_up below right and abstained_right"
            )
        return self

    @property
    def tier_gap(self) -> float:
        """The smallest distance between the top of one tier and the base of the next."""
        above = min(self.right, self.abstained_right) - self.gave_up
        return min(above, self.gave_up - (self.wrong + self.process_bonus))


def make_ladder(config: LadderConfig) -> RewardFn:
    """Return the reward function of `config`; what an outage of the policy or the judge spoiled is unscorable."""

    def ladder(trajectory: Trajectory, question: Question) -> Reward:
        facts = derive_facts(trajectory, question)
        outcome = classify(trajectory, question, config, facts)
        if outcome is Outcome.UNSCORABLE:
            return Reward.unscorable(_why_unscorable(trajectory, question))
        parts = {outcome.value: _base(outcome, config)}
        if outcome is Outcome.RIGHT:
            parts["cited"] = _cited(trajectory, question, facts, config)
            parts["brevity"] = config.brevity_bonus * _brevity(facts)
        if config.process_bonus and outcome in (Outcome.RIGHT, Outcome.WRONG) and not facts.is_truncated:
            parts["process"] = config.process_bonus * (facts.gold_found + facts.gold_read) / 2
        room = -config.tier_gap / 2  # what all penalties together may take
        if facts.is_truncated:
            parts["cut_short"] = max(config.cut_short, room)
        if facts.num_invalid_calls:
            left = room - parts.get("cut_short", 0.0)
            parts["invalid_calls"] = max(config.invalid_call * facts.num_invalid_calls, left)
        return Reward.of(parts)

    return ladder


def classify(trajectory: Trajectory, question: Question, config: LadderConfig, facts: Facts | None = None) -> Outcome:
    """Return the tier of an episode under `config`."""
    facts = facts or derive_facts(trajectory, question)
    is_unjudged = config.mode == "answer" and facts.is_unscorable
    if trajectory.stop_reason is StopReason.ERROR or is_unjudged or not question.is_labelled:
        return Outcome.UNSCORABLE
    if _is_abstention(facts, config.mode):
        is_earned = not question.answerable and facts.num_distinct_searches >= config.min_searches_to_abstain
        return Outcome.ABSTAINED if is_earned else Outcome.GAVE_UP
    if not (facts.is_answered or facts.gave_up):
        return Outcome.GAVE_UP
    return Outcome.RIGHT if _is_right(question, facts, config) else Outcome.WRONG


def correctness(trajectory: Trajectory, question: Question, mode: Mode) -> bool:
    """Return whether the episode ended right: a right answer, or a right abstention however short the search."""
    outcome = classify(trajectory, question, LadderConfig(mode=mode))
    return outcome in (Outcome.RIGHT, Outcome.ABSTAINED)


def _why_unscorable(trajectory: Trajectory, question: Question) -> str:
    if not question.is_labelled:
        return "the question has no label"
    if trajectory.verdict is not None and trajectory.stop_reason is not StopReason.ERROR:
        return f"no verdict: {trajectory.verdict.reason}"
    return trajectory.error or "the episode ended in an error"


def _is_abstention(facts: Facts, mode: Mode) -> bool:
    """In find mode the sources are the answer: "I don't know" with a source cited is an answer."""
    return facts.gave_up and (mode == "answer" or facts.num_sources == 0)


def _is_right(question: Question, facts: Facts, config: LadderConfig) -> bool:
    if not question.answerable:
        return False
    if config.mode == "answer":
        return facts.is_right is True
    return facts.gold_cited and facts.is_every_source_shown and facts.num_sources <= config.max_sources


def _base(outcome: Outcome, config: LadderConfig) -> float:
    table = {
        Outcome.WRONG: config.wrong,
        Outcome.GAVE_UP: config.gave_up,
        Outcome.RIGHT: config.right,
        Outcome.ABSTAINED: config.abstained_right,
    }
    return table[outcome]


def _cited(trajectory: Trajectory, question: Question, facts: Facts, config: LadderConfig) -> float:
    if config.mode == "find" or not facts.num_sources:
        return 0.0
    return config.cited_bonus * len(supported_sources(trajectory, question)) / facts.num_sources


def _brevity(facts: Facts) -> float:
    """1 for at most three turns and one source, falling to 0 at ten turns and at none or four sources."""
    turns = (NO_BREVITY_TURNS - facts.num_turns) / (NO_BREVITY_TURNS - BEST_TURNS)
    sources = (4 - facts.num_sources) / 3 if facts.num_sources else 0.0
    return (min(1.0, max(0.0, turns)) + min(1.0, max(0.0, sources))) / 2
