"""Is a given answer the gold answer? Deterministic, and undecided rather than generous.

A right answer holds every typed value of the gold answer (or of one accepted form) and no other value of those types,
or is the same words, list or person. Doubt ("$5 or $6", "not the Belvedere") is left undecided: a judge may decide,
and without a judge undecided is not right. Knows nothing of trajectories or rewards.
"""

from __future__ import annotations

import re
from functools import lru_cache

from inbox_env.questions import Question
from rewards.compare import is_comparable, is_compatible
from rewards.gold import GoldKey, make_key, plain_text, squeeze_code
from rewards.matching import match_form
from rewards.values import Parsed, Value, fold, parse
from rewards.wording import BOUNDS, DOUBTS

MAX_ANSWER_CHARS = 400
MIN_SPAN_CHARS = 4
_DETAILS = frozenset({"zone", "daypart", "rate", "polarity"})


def match_answer(given: str, question: Question) -> bool | None:
    """Return True (right), False (wrong) or None (undecided: left to a judge, and not right without one)."""
    if question.answer is None:
        return False
    if len(given) > MAX_ANSWER_CHARS:
        return None
    year = question.asked_on.year if question.asked_on else 0
    return _decide(given, question.answer, question.accepted, question.question, year)


def contains_answer(text: str, question: Question) -> bool:
    """Return whether `text` holds the gold answer or an accepted form, character for character but for case."""
    if question.answer is None:
        return False
    squeezed = " ".join(fold(text).split())
    forms = (plain_text(form) for form in (question.answer, *question.accepted))
    spans = (form for form in forms if len(form) >= MIN_SPAN_CHARS and form in squeezed)
    return any(re.search(rf"(?<!\w){re.escape(span)}(?!\w)", squeezed) for span in spans)


@lru_cache(maxsize=16384)
def _decide(given: str, answer: str, accepted: tuple[str, ...], question: str, year: int) -> bool | None:
    key = make_key(answer, accepted, question)
    if plain_text(given) in key.plain or squeeze_code(given) in key.codes:
        return True
    parsed = parse(given)
    verdicts = [match_form(parsed, given, form, key) for form in key.forms]
    if _contradicts(parsed, key):
        return False
    if True in verdicts:
        form = key.forms[verdicts.index(True)]
        bare = (value for value in form.parsed.values if value.kind == "number")
        is_clear = not (_is_doubtful(parsed, key) or _says_more(parsed, (*key.values, *bare), year))
        return True if is_clear else None
    return False if False in verdicts else None


def _contradicts(parsed: Parsed, key: GoldKey) -> bool:
    """Whether the gold answer has a value of some type and every value of that type in the given one is another."""
    for value in parsed.values:
        if value.kind == "weekday" and (days := key.weekdays) and value.unit not in days:
            return True
        if value.kind in _DETAILS and value.kind in key.kinds and value not in key.values:
            return True
    for kind in key.kinds - _DETAILS - {"weekday"}:
        gold = [value for value in key.values if value.kind == kind]
        given = [value for value in parsed.values if any(is_comparable(value, other) for other in gold)]
        if given and not any(_agrees(value, gold) for value in given):
            return True
    return False


def _says_more(parsed: Parsed, gold: tuple[Value, ...], year: int) -> bool:
    """Whether the given answer holds a second value of a gold type, or a year that nothing vouches for."""
    for value in parsed.values:
        rivals = [other for other in gold if is_comparable(value, other)]
        if rivals and not _agrees(value, rivals):
            return True
        if value.kind == "date" and value.key[0] and rivals and not any(other.key[0] for other in rivals):
            return year != 0 and abs(value.key[0] - year) > 1
    return False


def _agrees(value: Value, gold: list[Value]) -> bool:
    return any(is_comparable(value, other) and is_compatible(value, other) for other in gold)


def _is_doubtful(parsed: Parsed, key: GoldKey) -> bool:
    """Whether a word takes the answer back or turns a value into a bound, unless gold or question say it too."""
    has_no = Value("polarity", unit="no") in key.values
    doubts = {word for word in parsed.words if word in DOUBTS} - key.words
    bounds = {word for word in parsed.words if word in BOUNDS} - key.words - key.asked
    return bool(bounds or (doubts and not (has_no and doubts <= {"not", "didnt", "wasnt", "isnt", "doesnt", "never"})))
