"""Snippet: the stretch of a body that shows why a mail was found. Knows nothing of indexes.

A keyword is looked for as it is written, then in its words, then folded as the indexes fold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from inbox_env.search.folding import is_cjk, words

_LEAD = 4  # a quarter of the snippet stands before the keyword
_SPARE = 16
_SEARCHED_CHARS = 1_000_000
_MAX_TRIES = 50_000  # at places where a keyword is only part of a word
_FOLDED_CHARS = 20_000  # of a body that are searched folded, which is slow
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def find_keyword(body: str, wanted: Sequence[str]) -> int:
    """Return where the first keyword that stands in `body` stands there, or -1; the keywords are in lower case.

    Looks at the first million characters, and gives up on text that is made to be searched for long.
    """
    body = body[:_SEARCHED_CHARS]
    lowered = _Lowered(body.lower())
    for keyword in wanted:
        place = lowered.find(keyword)
        if place >= 0:
            return place
    for word in dict.fromkeys(word for keyword in wanted for word in keyword.split()):
        place = lowered.find(word)  # a phrase may be broken across lines
        if place >= 0:
            return place
    return -1 if body.isascii() and "".join(wanted).isascii() else _find_folded(body, lowered, wanted)


def cut_snippet(body: str, place: int, num_chars: int) -> str:
    """Return at most `num_chars` of `body` around `place` (-1: its beginning); whitespace collapsed."""
    if num_chars <= 0:
        return ""
    start = place - num_chars // _LEAD
    start = _word_start(body, start, place) if start > 0 else 0
    text = " ".join(body[start : start + num_chars + _SPARE].split())
    if len(text) <= num_chars < len(body) - start - _SPARE:  # much whitespace
        text = " ".join(body[start : start + 2 * num_chars].split())
    if len(text) <= num_chars:
        return text
    end = text.rfind(" ", num_chars // 2, num_chars + 1)
    return text[: end if end > 0 else num_chars]


class _Lowered:
    """Text in lower case; what looking for words in it may cost has one limit, however many are looked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tries_left = _MAX_TRIES

    def find(self, keyword: str) -> int:
        """Return where `keyword` stands as a word of its own, or -1."""
        text = self._text
        place = text.find(keyword)
        while place >= 0 and self._tries_left > 0:
            self._tries_left -= 1
            end = place + len(keyword)
            before, after = text[place - 1 : place], text[end : end + 1]
            if not (before.isalnum() or after.isalnum()) or _is_apart(before, keyword, after):
                return place
            place = text.find(keyword, place + 1)
        return -1


def _is_apart(before: str, keyword: str, after: str) -> bool:
    """Return whether a keyword between two characters is words of its own, as in a script without spaces."""
    is_joined = before.isalnum() and keyword[:1].isalnum() and not (is_cjk(before) or is_cjk(keyword[:1]))
    return not is_joined and not (
        after.isalnum() and keyword[-1:].isalnum() and not (is_cjk(after) or is_cjk(keyword[-1:]))
    )


def _find_folded(body: str, lowered: _Lowered, wanted: Iterable[str]) -> int:
    """Return where the first word of a keyword stands in another spelling: folded, or with letters beyond ASCII."""
    firsts = dict.fromkeys(word for keyword in wanted for word in words(keyword)[:1])
    for word in firsts:
        place = lowered.find(word)
        if place >= 0:
            return place
    body, end = body[:_FOLDED_CHARS], 0
    for run in _BEYOND_ASCII.finditer(body):
        if run.end() <= end:
            continue
        start, least, end = run.start(), end, run.end()
        while start > least and body[start - 1].isalnum():
            start -= 1
        while body[end : end + 1].isalnum():
            end += 1
        if not firsts.keys().isdisjoint(words(body[start:end])):
            return start
    return -1


def _word_start(body: str, start: int, limit: int) -> int:
    spaces = [place for place in (body.find(" ", start, limit), body.find("\n", start, limit)) if place >= 0]
    return min(spaces) + 1 if spaces else start
