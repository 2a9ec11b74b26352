"""Is a given answer the gold answer? Deterministic, and undecided rather than generous.

A right answer holds every typed value of the gold answer (or of one accepted form) and no other value of those types,
or is the same words, list or person. What says where it was read does not count, nor what the answer itself takes
back ("not A but B"); denying the gold answer is wrong. Doubt ("$5 or $6") is left undecided: a judge may decide, and
without a judge undecided is not right. Knows nothing of trajectories or rewards.
"""

from __future__ import annotations

import re
from collections.abc import Set
from datetime import date
from functools import lru_cache
from itertools import pairwise

from inbox_env.questions import Question
from rewards.claims import Claim, claim_of
from rewards.compare import is_comparable, is_compatible
from rewards.framing import unframed
from rewards.gold import GoldForm, GoldKey, make_key, plain_text, squeeze_code
from rewards.matching import match_form, with_polarity
from rewards.relative import with_dates
from rewards.values import Parsed, Value, fold, normal, parse
from rewards.wording import BOUNDS, DENIALS, DOUBTS, MAIL_WORDS, TURNS, content
from rewards.zones import in_zone_of

MAX_ANSWER_CHARS = 400
MIN_SPAN_CHARS = 4
_EARLIER = frozenset(
    "first original originally initial initially earlier previous previously former formerly old".split()
)
_AMOUNTS = frozenset(("money", "percent", "number"))
_SCALES = (1.0, 1e2, 1e3, 1e6, 1e9, 1e-2, 1e-3, 1e-6, 1e-9)  # of what may be left out: "14.8" for "14.8 million"
_MOMENTS = frozenset(("date", "time", "weekday", "ordinal"))
_DETAILS = frozenset({"zone", "daypart", "rate", "polarity"})


def match_answer(given: str, question: Question) -> bool | None:
    """Return True (right), False (wrong) or None (undecided: left to a judge, and not right without one)."""
    if question.answer is None:
        return False
    if len(given) > MAX_ANSWER_CHARS:
        return None
    return _decide(given, question.answer, question.accepted, question.question, question.asked_on)


def contains_answer(text: str, question: Question) -> bool:
    """Return whether `text` holds the gold answer or an accepted form, character for character but for case."""
    if question.answer is None:
        return False
    squeezed = " ".join(fold(text).split())
    forms = (plain_text(form) for form in (question.answer, *question.accepted))
    spans = (form for form in forms if len(form) >= MIN_SPAN_CHARS and form in squeezed)
    return any(re.search(rf"(?<!\w){re.escape(span)}(?!\w)", squeezed) for span in spans)


@lru_cache(maxsize=16384)
def _decide(given: str, answer: str, accepted: tuple[str, ...], question: str, today: date | None) -> bool | None:
    key = make_key(answer, accepted, question)
    if given.rstrip().endswith("?") and not any(form.rstrip().endswith("?") for form in (answer, *accepted)):
        return _weigh(given, key, today)  # who asks back says nothing
    if _is_form(given, key):
        return True
    said = unframed(given)
    if _is_form(said, key):
        return True
    whole = _weigh(said, key, today)
    if "polarity" in key.kinds or key.words & DENIALS:
        return whole
    claim = claim_of(said)
    if claim.text == said:
        return whole
    verdict = _weigh_claim(claim, key, today)
    if whole and verdict is None and _tells_a_change(key):
        return True
    if claim.is_changed and key.asked & _EARLIER:
        return None if verdict or whole else whole
    return verdict if verdict is not None or whole else whole


def _tells_a_change(key: GoldKey) -> bool:
    """Whether the gold answer is what changed and into what: "from $4 to $2"."""
    return any(form.is_ordered and len(form.required) > 1 for form in key.forms)


def _is_form(text: str, key: GoldKey) -> bool:
    return plain_text(text) in key.plain or squeeze_code(text) in key.codes


def _weigh_claim(claim: Claim, key: GoldKey, today: date | None) -> bool | None:
    """Return the verdict of what an answer claims in the end; who denies the gold answer is wrong."""
    verdict = _weigh(claim.text, key, today) if claim.text.strip() else None
    if any(_is_form(part, key) or _weigh(part, key, today) for part in claim.denied):
        return None if verdict else False
    return verdict


def _weigh(text: str, key: GoldKey, today: date | None) -> bool | None:
    verdict = _weigh_text(text, key, today)
    if verdict is not True and today is not None and (dated := with_dates(text, today)) != normal(text):
        return _weigh_text(dated, key, today) or verdict  # a day that is another may be counted from the mail's day
    return verdict


def _weigh_text(text: str, key: GoldKey, today: date | None) -> bool | None:
    parsed = with_polarity(parse(text), key)
    parsed = parsed._replace(values=in_zone_of(key.values, parsed.values, has_day="date" in key.kinds))
    verdicts = [match_form(parsed, text, form, key) for form in key.forms]
    if _contradicts(parsed, key):
        return False
    if True in verdicts:
        form = key.forms[verdicts.index(True)]
        bare = (value for value in form.parsed.values if value.kind == "number")
        year = today.year if today else 0
        is_clear = not ("?" in text or _is_doubtful(parsed, key) or _says_more(parsed, (*key.values, *bare), year))
        return True if is_clear else None
    return False if False in verdicts else None


def _contradicts(parsed: Parsed, key: GoldKey) -> bool:
    """Whether the gold answer has a value of some type and every value of that type in the given one is another."""
    for value in parsed.values:
        if value.kind == "weekday" and (days := key.weekdays) and value.unit not in days:
            return True
        if value.kind in _DETAILS and value.kind in key.kinds and not _agrees(value, list(key.values)):
            return True
    if _is_another_number(parsed, key):
        return True
    for kind in key.kinds - _DETAILS - {"weekday"}:
        gold = [value for value in (*key.values, *key.numbers) if value.kind == kind]
        given = [value for value in parsed.values if any(is_comparable(value, other) for other in gold)]
        others = [value for value in given if not _agrees(value, gold)]
        if others and (len(others) == len(given) or not any(_is_covered(form, kind, given) for form in key.forms)):
            return True
    return False


def _is_covered(form: GoldForm, kind: str, given: list[Value]) -> bool:
    """Whether a given value agrees with each of the form's of this kind: "5 and 8 pm" leaves "5 to 7 pm" uncovered."""
    gold = [value for value in form.parsed.values if value.kind == kind]
    return bool(gold) and all(any(is_comparable(v, g) and is_compatible(v, g) for v in given) for g in gold)


def _is_another_number(parsed: Parsed, key: GoldKey) -> bool:
    """Whether all that is said is one bare number, and no gold form has it in any unit: "21.10" is not "$21.50"."""
    amounts = {value.key[0] for form in key.forms for value in form.parsed.values if value.kind in _AMOUNTS}
    if len(parsed.values) != 1 or parsed.values[0].kind != "number" or not amounts:
        return False
    [number] = parsed.values
    is_alone = not (number.unit or content(parsed.words)) and bool(key.kinds & {"money", "percent"})
    return is_alone and not any(number.key[0] * scale in amounts for scale in _SCALES)


def _says_more(parsed: Parsed, gold: tuple[Value, ...], year: int) -> bool:
    """Whether the given answer holds a second value of a gold type, or a year that nothing vouches for."""
    amounts = {value.key[0] for value in gold if value.kind in _AMOUNTS}
    for value in parsed.values:
        if value.kind == "number" and not value.unit and value.key[0] not in amounts and _has_amount(gold):
            return True
        rivals = [other for other in gold if is_comparable(value, other)]
        if rivals and not _agrees(value, rivals):
            return True
        if value.kind == "date" and value.key[0] and rivals and not any(other.key[0] for other in rivals):
            return year != 0 and abs(value.key[0] - year) > 1
    return False


def _has_amount(gold: tuple[Value, ...]) -> bool:
    return any(value.kind in ("money", "percent") for value in gold)


def _agrees(value: Value, gold: list[Value]) -> bool:
    return any(is_comparable(value, other) and is_compatible(value, other) for other in gold)


def _is_doubtful(parsed: Parsed, key: GoldKey) -> bool:
    """Whether a word takes the answer back or turns a value into a bound, unless gold or question say it too.

    A day or time may also be that of a mail that the answer speaks of.
    """
    has_no = Value("polarity", unit="no") in key.values
    doubts = {word for word in parsed.words if word in DOUBTS} - key.words
    turns = {word for word in parsed.words if word in BOUNDS or word in TURNS} - key.words - key.asked
    turns |= _before_values(parsed, BOUNDS) - key.words - key.asked_bounds
    if key.kinds & _MOMENTS:
        turns |= MAIL_WORDS.intersection(parsed.words) - key.words - key.asked
    is_denied = "polarity" not in key.kinds and "no" not in key.words and _says_no(parsed)
    return bool(turns or is_denied or (doubts and not (has_no and doubts <= DENIALS)))


def _before_values(parsed: Parsed, words: Set[str]) -> set[str]:
    """Which of `words` stand right before a value: "after" of "after about 1:30 pm"."""
    said = content(parsed.tokens)
    return {word for word, after in pairwise(said) if word in words and after[0] == "#"}


def _says_no(parsed: Parsed) -> bool:
    """Whether a "no" is said that is no "number": "$5? No."."""
    return any(word == "no" and not after.startswith("#") for word, after in pairwise((*parsed.tokens, "")))
