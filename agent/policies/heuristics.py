"""Keyword heuristics: what people try before they train anything. Each opens the first mail that it finds.

`keywords-bm25` ranks mails that hold any of the words; its environment must match any keyword
(`ANY_KEYWORD`). Knows no gold answers.
"""

from __future__ import annotations

from random import Random
from types import MappingProxyType

from agent.policies.question_words import content_words, proper_names
from agent.policies.scripted import MakeScript, Script, answer, hit_numbers, read, search
from inbox_env.actions import Opening
from inbox_env.search.base import MAX_KEYWORDS


def keywords_and(opening: Opening, _: Random) -> Script:
    """Search all content words at once, open the first hit."""
    yield from _one_shot(content_words(opening.question))


def keywords_names(opening: Opening, _: Random) -> Script:
    """Search all proper names at once, open the first hit."""
    yield from _one_shot(proper_names(opening.question) or content_words(opening.question))


def keywords_retry(opening: Opening, _: Random) -> Script:
    """Search all proper names; while nothing is found drop the word that occurs least, then open the first hit."""
    words = (proper_names(opening.question) or content_words(opening.question))[:MAX_KEYWORDS]
    while words:
        observation = yield search(*words)
        if numbers := hit_numbers(observation):
            yield read(numbers[0])
            yield None
            break  # what was read was no answer, and reading it again makes none
        words = _without_rarest(words, observation.results[0].content)
    yield answer(None)


def _one_shot(words: list[str]) -> Script:
    if words:
        observation = yield search(*words[:MAX_KEYWORDS])
        if numbers := hit_numbers(observation):
            yield read(numbers[0])
            yield None
    yield answer(None)


def _without_rarest(words: list[str], zero_report: str) -> list[str]:
    """Return `words` without the one that alone matches least: an absent word first, else the last."""
    counts = dict.fromkeys(words, 1)
    for line in zero_report.split("\n")[1:]:
        word, _, count = line.strip().rpartition(": ")
        if word in counts and count.isdigit():
            counts[word] = int(count)
    rarest = min(reversed(words), key=lambda word: counts[word])
    return [word for word in words if word != rarest]


HEURISTICS = MappingProxyType[str, MakeScript](
    {
        "keywords-and": keywords_and,
        "keywords-names": keywords_names,
        "keywords-bm25": keywords_and,
        "keywords-retry": keywords_retry,
    }
)
ANY_KEYWORD = frozenset({"keywords-bm25"})
