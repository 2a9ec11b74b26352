"""Snippet: the stretch of a body that shows why a mail was found. Knows nothing of indexes."""

from __future__ import annotations

from collections.abc import Iterable

_LEAD = 4  # a quarter of the snippet stands before the keyword


def make_snippet(body: str, keywords: Iterable[str], num_chars: int) -> str:
    """Return at most `num_chars` of `body` around the first keyword found, else its beginning; whitespace collapsed."""
    if num_chars <= 0:
        return ""
    lowered = body.lower()
    found = (lowered.find(keyword.lower()) for keyword in keywords)
    position = next((place for place in found if place >= 0), 0)
    start = _word_start(body, max(0, position - num_chars // _LEAD), position)
    text = " ".join(body[start : start + 2 * num_chars].split())
    return text if len(text) <= num_chars else _cut(text, num_chars)


def _word_start(body: str, start: int, limit: int) -> int:
    if start == 0:
        return 0
    spaces = [place for place in (body.find(" ", start, limit), body.find("\n", start, limit)) if place >= 0]
    return min(spaces) + 1 if spaces else start


def _cut(text: str, num_chars: int) -> str:
    end = text.rfind(" ", num_chars // 2, num_chars + 1)
    return text[: end if end > 0 else num_chars]
