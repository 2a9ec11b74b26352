"""Facts: what happened in one episode, derived from its trajectory and its question and nothing else.

Gold ids may be several (copies of one mail, or several mails that each hold a part): found, read and cited mean
any of them, `gold_read_all` means every one. Knows nothing of what a fact is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory
from rewards.answers import match_answer

SEARCH_TOOL = "search_emails"
_VERDICTS = {"right": True, "wrong": False, "unscorable": None}
TRUNCATED = frozenset({StopReason.MAX_TURNS, StopReason.MAX_TOKENS, StopReason.DEADLINE})


@dataclass(frozen=True, slots=True)
class Facts:
    """One episode in numbers.

    `is_right` is None when the deterministic matcher cannot decide and no judge did; `is_unscorable` when a judge was
    asked and gave no verdict.
    """

    is_answered: bool
    is_right: bool | None
    gave_up: bool
    rightly_abstained: bool
    wrongly_abstained: bool
    answered_wrong: bool
    gold_found: bool
    gold_read: bool
    gold_read_all: bool
    gold_cited: bool
    num_sources: int
    is_every_source_shown: bool
    num_turns: int
    num_searches: int
    num_distinct_searches: int
    num_invalid_calls: int
    is_truncated: bool
    is_unscorable: bool


def derive_facts(trajectory: Trajectory, question: Question) -> Facts:
    """Return the facts of one play of `question`; undecided answers are neither right nor `answered_wrong`."""
    results = [result for turn in trajectory.turns for result in turn.results]
    listed, opened = _ids(result.listed for result in results), _ids(result.opened for result in results)
    gold, sources = frozenset(question.message_ids), frozenset(trajectory.sources)
    is_answered = trajectory.stop_reason is StopReason.ANSWERED and trajectory.answer is not None
    gave_up = trajectory.stop_reason is StopReason.GAVE_UP
    is_right = is_right_answer(trajectory, question)
    searches = [result for result in results if result.name == SEARCH_TOOL and result.arguments is not None]
    return Facts(
        is_answered=is_answered,
        is_right=is_right,
        gave_up=gave_up,
        rightly_abstained=gave_up and not question.answerable,
        wrongly_abstained=gave_up and question.answerable,
        answered_wrong=is_answered and is_right is False,
        gold_found=not gold.isdisjoint(listed | opened),
        gold_read=not gold.isdisjoint(opened),
        gold_read_all=bool(gold) and gold <= opened,
        gold_cited=not gold.isdisjoint(sources),
        num_sources=len(sources) + len(set(trajectory.unknown_sources)),
        is_every_source_shown=not trajectory.unknown_sources and sources <= (listed | opened),
        num_turns=len(trajectory.turns),
        num_searches=len(searches),
        num_distinct_searches=len({_search_key(search) for search in searches if not search.is_error}),
        num_invalid_calls=sum(result.is_error or result.arguments is None for result in results),
        is_truncated=trajectory.stop_reason in TRUNCATED,
        is_unscorable=is_right is None and trajectory.verdict is not None,
    )


def is_right_answer(trajectory: Trajectory, question: Question) -> bool | None:
    """Return whether the answer text is right; False without an answer, None when undecided.

    What the matcher leaves undecided, the judge's verdict in the trajectory decides, if there is one.
    """
    if trajectory.stop_reason is not StopReason.ANSWERED or trajectory.answer is None:
        return False
    is_right = match_answer(trajectory.answer, question)
    if is_right is None and trajectory.verdict is not None:
        return _VERDICTS[trajectory.verdict.value]
    return is_right


def shown_ids(trajectory: Trajectory) -> frozenset[str]:
    """Return the Message-IDs that this episode listed or opened."""
    results = [result for turn in trajectory.turns for result in turn.results]
    return _ids(result.listed for result in results) | _ids(result.opened for result in results)


def _ids(groups: Iterable[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(message_id for group in groups for message_id in group)


def _search_key(search: ToolResultRecord) -> str:
    """Equal for searches that ask the same: keyword order and case, result order and page make no new search."""
    arguments = {name: value for name, value in (search.arguments or {}).items() if name not in ("page", "order")}
    folded = {name: _fold(value) for name, value in arguments.items() if value is not None}
    return json.dumps(folded, sort_keys=True, default=str)


def _fold(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    return sorted(str(_fold(item)) for item in value) if isinstance(value, list | tuple) else value
