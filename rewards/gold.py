"""The gold side of answer matching, taken apart once per question: forms, typed values, nouns.

Knows nothing of given answers.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

from rewards.compare import refines, weekday_of
from rewards.values import Parsed, Value, fold, parse, singular
from rewards.wording import GENERIC_NOUNS, TITLES, asks_for_a_person, bounds_asked_for, content, core, items, stem

_OPTIONAL = frozenset({"weekday", "daypart", "zone", "rate"})
_IN_ORDER = re.compile(r"\b(?:from|then|to|for|by|x|cut)\b|->|[/:@]")
_ARTICLES = re.compile(r"^(?:the|an?) ")
_INNER = re.compile(r"(?<!\d)[\s_#-]+|[\s_#-]+(?!\d)")


@dataclass(frozen=True, slots=True)
class GoldForm:
    """One way to say the gold answer: the values and words that a given answer must hold.

    `items` are the parts of a list, each as its content words; a single part is no list.
    """

    parsed: Parsed
    content: tuple[str, ...]
    required: tuple[Value, ...]
    required_words: frozenset[str]
    is_ordered: bool
    items: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class GoldKey:
    """All that is known of the gold answer: `values` keeps only the fullest of values that say the same.

    `asked` are the question's words, `stems` those without endings, `known` both and the forms' words, in the
    singular; `asked_bounds` those that it puts before what it asks for ("until what time?"); `numbers` are those that
    any form says bare.
    """

    forms: tuple[GoldForm, ...]
    plain: frozenset[str]
    codes: frozenset[str]
    values: tuple[Value, ...]
    kinds: frozenset[str]
    weekdays: frozenset[str]
    words: frozenset[str]
    asked: frozenset[str]
    known: frozenset[str]
    stems: frozenset[str]
    asked_bounds: frozenset[str]
    numbers: tuple[Value, ...]
    is_person: bool


@lru_cache(maxsize=8192)
def make_key(answer: str, accepted: tuple[str, ...], question: str) -> GoldKey:
    """Return the gold answer and its accepted forms taken apart, with the question's words as context."""
    asked = frozenset(singular(word) for word in parse(question).words)
    full = {value.kind for value in parse(answer).values} - _OPTIONAL
    forms = tuple(_form(text, asked, full) for text in (answer, *accepted))
    values = list(dict.fromkeys(value for form in forms for value in form.parsed.values))
    fullest = tuple(value for value in values if not any(refines(other, value) for other in values))
    words = frozenset(word for form in forms for word in form.parsed.words)
    said = {value.unit for value in fullest if value.kind == "weekday"}
    return GoldKey(
        forms=forms,
        plain=frozenset(plain_text(text) for text in (answer, *accepted)),
        codes=frozenset(squeeze_code(text) for text in (answer, *accepted)) - {""},
        values=fullest,
        kinds=frozenset(value.kind for value in fullest),
        weekdays=frozenset(said or {weekday_of(value) for value in fullest if value.kind == "date"} - {""}),
        words=words,
        asked=asked,
        asked_bounds=bounds_asked_for(question),
        stems=frozenset(stem(word) for word in asked),
        known=asked | {singular(word) for word in words} | {stem(word) for word in asked | words},
        numbers=tuple(value for value in values if value.kind == "number"),
        is_person=asks_for_a_person(question),
    )


def plain_text(text: str) -> str:
    """Return `text` folded, without a leading article, quotes and punctuation around it."""
    return _ARTICLES.sub("", " ".join(fold(text).split()).strip("\"' ").rstrip(".,;:!? "))


def squeeze_code(text: str) -> str:
    """Return `text` as one code ("W1J 5DU" is "w1j5du"), or "" when it has no letters or no digits.

    Signs between two digits stay: they may part two numbers.
    """
    folded = plain_text(text)
    has_both = any(char.isdigit() for char in folded) and any(char.isalpha() for char in folded)
    return _INNER.sub("", folded) if has_both else ""


def _form(text: str, asked: frozenset[str], full: Set[str]) -> GoldForm:
    """Words of the question need not be repeated, unless they stand for a value of the `full` answer ("Christmas")."""
    parsed = parse(text)
    required = tuple(value for value in parsed.values if value.kind not in _OPTIONAL)
    said = content(parsed.words)
    units = {value.unit for value in parsed.values}
    needless = units | GENERIC_NOUNS | TITLES | (asked if full <= {value.kind for value in required} else set())
    has_polarity = any(value.kind == "polarity" for value in required)
    return GoldForm(
        parsed=parsed,
        content=said,
        required=required or (() if said else parsed.values),
        required_words=frozenset() if has_polarity else frozenset(w for w in said if singular(w) not in needless),
        is_ordered=_IN_ORDER.search(fold(text)) is not None,
        items=tuple(core(content(parse(item).words)) for item in items(text)),
    )
