"""Where a mail says what an answer claims: the place that the page opens it at.

Knows nothing of policies, scores or the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inbox_env.emails import Email
from inbox_env.search.folding import words
from scripts.terminal import safe, safe_line

MAX_QUOTE_CHARS = 300
MAX_LOOKED_AT = 200_000
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s)|$)", re.MULTILINE)
_STOP = frozenset(
    "a an and are at be by do for from have in is it of on or our that the this to was we will with you".split()
)


def safe_body(email: Email) -> str:
    """Return the text that the page shows of a mail: its body and what can be read of its attachments."""
    parts = [safe(email.body).rstrip()]
    parts += [f"[attachment {safe_line(one.name)}]\n{safe(one.text)}" for one in email.attachments if one.text]
    return "\n\n".join(parts)


def find_quote(body: str, answers: Sequence[str], question: str) -> str:
    """Return the stretch of `body` that supports an answer: its own words if they stand there, else the sentence that
    shares most words with answer and question; empty when none shares two.
    """
    body = body[:MAX_LOOKED_AT]
    for answer in answers:
        if found := _literal(body, answer):
            return found
    wanted = {word for text in answers for word in words(text)} - _STOP
    asked = set(words(question)) - _STOP
    best, best_score = "", 1
    for sentence in _SENTENCE.finditer(body):
        said = set(words(sentence[0]))
        score = 2 * len(said & wanted) + len(said & asked)
        if score > best_score:
            best, best_score = sentence[0].strip()[:MAX_QUOTE_CHARS], score
    return best


def place_in_script(body: str, quote: str) -> tuple[int, int] | None:
    """Return start and end of `quote` in `body` as JavaScript counts (UTF-16 units), or None."""
    found = _pattern(quote).search(body) if quote.strip() else None
    return (_units(body[: found.start()]), _units(body[: found.end()])) if found else None


def _literal(body: str, text: str) -> str:
    if len(text.strip()) < 2:
        return ""
    found = re.search(rf"(?<!\w){_pattern(text).pattern}(?!\w)", body, re.IGNORECASE)
    return found[0][:MAX_QUOTE_CHARS] if found else ""


def _pattern(text: str) -> re.Pattern[str]:
    """Return what matches `text` whatever whitespace stands between its words."""
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()), re.IGNORECASE)


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
