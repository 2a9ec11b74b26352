"""Snippet: the stretch of a body that shows why a mail was found. Knows nothing of indexes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_LEAD = 4  # a quarter of the snippet stands before the keyword


def make_snippet(body: str, keywords: Iterable[str], num_chars: int) -> str:
    """Return at most `num_chars` of `body` around the first keyword found, else its beginning; whitespace collapsed."""
    if num_chars <= 0:
        return ""
    lowered = body.lower()
    found = (_find(lowered, text) for text in _candidates(keywords))
    position = next((place for place in found if place >= 0), 0)
    start = _word_start(body, max(0, position - num_chars // _LEAD), position)
    text = " ".join(body[start : start + 2 * num_chars].split())
    return text if len(text) <= num_chars else _cut(text, num_chars)


def _candidates(keywords: Iterable[str]) -> Iterator[str]:
    """Yield all keywords whole, then their words: a phrase may be broken across lines."""
    lowered = [keyword.lower() for keyword in keywords]
    yield from lowered
    for keyword in lowered:
        yield from keyword.split()


def _find(text: str, keyword: str) -> int:
    """Return where `keyword` stands as a word of its own, or -1."""
    place = text.find(keyword)
    while place >= 0:
        end = place + len(keyword)
        if not (text[place - 1 : place].isalnum() or text[end : end + 1].isalnum()):
            return place
        place = text.find(keyword, place + 1)
    return -1


def _word_start(body: str, start: int, limit: int) -> int:
    if start == 0:
        return 0
    spaces = [place for place in (body.find(" ", start, limit), body.find("\n", start, limit)) if place >= 0]
    return min(spaces) + 1 if spaces else start


def _cut(text: str, num_chars: int) -> str:
    end = text.rfind(" ", num_chars // 2, num_chars + 1)
    return text[: end if end > 0 else num_chars]
