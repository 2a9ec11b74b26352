"""Which citations hold: the cited mail was shown in this episode and supports the answer.

An id in the source list proves nothing by itself. Knows nothing of what a citation is worth.
"""

from __future__ import annotations

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.answers import contains_answer
from rewards.facts import shown_ids


def supported_sources(trajectory: Trajectory, question: Question) -> tuple[str, ...]:
    """Return the cited Message-IDs that were shown and are gold, or were opened and hold the answer's text."""
    shown, gold = shown_ids(trajectory), frozenset(question.message_ids)
    cited = dict.fromkeys(source for source in trajectory.sources if source in shown)
    return tuple(source for source in cited if source in gold or _holds_answer(trajectory, question, source))


def _holds_answer(trajectory: Trajectory, question: Question, source: str) -> bool:
    """Only text shown for this mail alone counts: a page of search hits belongs to no single mail."""
    texts = (result.content for turn in trajectory.turns for result in turn.results if result.opened == (source,))
    return question.answerable and any(contains_answer(text, question) for text in texts)
