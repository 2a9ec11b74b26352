"""Which citations hold: the cited mail was shown in this episode and supports the answer; and with which words it does.

An id in the source list proves nothing by itself. Knows nothing of what a citation is worth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inbox_env.questions import Question
from inbox_env.search.folding import words
from inbox_env.trajectory import Trajectory
from rewards.answers import contains_answer
from rewards.facts import shown_ids

MAX_QUOTE_CHARS = 300
MAX_LOOKED_AT = 200_000
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s)|$)", re.MULTILINE)
_QUOTE_STOP = frozenset(
    "a an and are at be by do for from have in is it of on or our that the this to was we will with you".split()
)


def supported_sources(trajectory: Trajectory, question: Question) -> tuple[str, ...]:
    """Return the cited Message-IDs that were shown and are gold, or were opened and hold the answer's text."""
    shown, gold = shown_ids(trajectory), frozenset(question.message_ids)
    cited = dict.fromkeys(source for source in trajectory.sources if source in shown)
    return tuple(source for source in cited if source in gold or _holds_answer(trajectory, question, source))


def supporting_quote(body: str, answers: Sequence[str], question: str) -> str:
    """Return the stretch of `body` that supports an answer: its own words if they stand there, else the sentence that
    shares most words with answer and question; empty when none shares two.
    """
    body = body[:MAX_LOOKED_AT]
    for answer in answers:
        if found := _literal(body, answer):
            return found
    wanted = {word for text in answers for word in words(text)} - _QUOTE_STOP
    asked = set(words(question)) - _QUOTE_STOP
    best, best_score = "", 1
    for sentence in _SENTENCE.finditer(body):
        said = set(words(sentence[0]))
        score = 2 * len(said & wanted) + len(said & asked)
        if score > best_score:
            best, best_score = sentence[0].strip()[:MAX_QUOTE_CHARS], score
    return best


def spaced(text: str) -> re.Pattern[str]:
    """Return what matches `text` whatever whitespace stands between its words."""
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()), re.IGNORECASE)


def _holds_answer(trajectory: Trajectory, question: Question, source: str) -> bool:
    """Only text shown for this mail alone counts: a page of search hits belongs to no single mail."""
    texts = (result.content for turn in trajectory.turns for result in turn.results if result.opened == (source,))
    return question.answerable and any(contains_answer(text, question) for text in texts)


def _literal(body: str, text: str) -> str:
    if len(text.strip()) < 2:
        return ""
    found = re.search(rf"(?<!\w){spaced(text).pattern}(?!\w)", body, re.IGNORECASE)
    return found[0][:MAX_QUOTE_CHARS] if found else ""
