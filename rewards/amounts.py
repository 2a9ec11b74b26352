"""Amounts that are said in two parts or in words, rewritten as one number and its unit: "an hour and a half".

Works on folded text. Knows nothing of typed values or questions.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.grammar import SMALL

_NUMBER = r"\d{1,6}(?:\.\d{1,4})?"
_SPELT = {"a": 1, "an": 1} | {word: number for number, word in enumerate(SMALL.split("|"))}
_COUNT = rf"(?:{_NUMBER}|{'|'.join(_SPELT)})"
_LONG = r"(?P<unit>hour|day|week|month|year|mile|thousand|million|billion)s?"
_PARTS = {"half": 0.5, "quarter": 0.25, "third": 1 / 3}
_PART = rf"an? (?P<part>{'|'.join(_PARTS)})"
_CLOCKED = rf"(?P<h>{_COUNT})[ -]?(?:hours?|hrs?|h)\b,?\s?(?:and )?(?P<m>\d{{1,2}})\s?(?:minutes?|mins?|m)\b"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(rf"(?<![\w.])(?P<n>{_NUMBER})\s?(?:bps?|basis points?)\b"),
        lambda m: f"{_plain(_count(m['n']) / 100)}%",
    ),
    (re.compile(rf"(?<![\w.]){_CLOCKED}"), lambda m: f"{_plain(60 * _count(m['h']) + int(m['m']))} minutes"),
    (re.compile(r"(?<![\w.])(?P<h>\d{1,3})h(?P<m>[0-5]\d)\b"), lambda m: f"{60 * int(m['h']) + int(m['m'])} minutes"),
    (
        re.compile(rf"(?<![\w.])(?P<n>{_COUNT}) {_LONG} and {_PART}\b"),
        lambda m: f"{_plain(_count(m['n']) + _PARTS[m['part']])} {m['unit']}",
    ),
    (re.compile(rf"(?<![\w.])(?P<n>{_COUNT}) and {_PART}\b"), lambda m: _plain(_count(m["n"]) + _PARTS[m["part"]])),
    (re.compile(r"\bhalf an? (?P<unit>hour|day|year|mile)\b"), lambda m: f"0.5 {m['unit']}s"),
    (re.compile(r"\b(?:a )?quarter of an hour\b"), lambda _: "15 minutes"),
)
_MINUTES = {"second": 1 / 60, "minute": 1.0, "hour": 60.0, "day": 1440.0, "week": 10_080.0}
_MONTHS = {"month": 1.0, "year": 12.0}
_CAN_BE_TWO = re.compile(r"half|quarter|third|bps?\b|basis|\dh|hour|hr")  # else nothing here can match


def joined(text: str) -> str:
    """Return folded `text` with each such amount as one number."""
    if not _CAN_BE_TWO.search(text):
        return text
    for pattern, rewrite in _RULES:
        text = pattern.sub(rewrite, text)
    return text


def same_duration(one: float, unit: str, other: float, other_unit: str) -> bool:
    """Return whether two durations are equal: 1.5 hours and 90 minutes, not 30 days and a month."""
    for scale in (_MINUTES, _MONTHS):
        if unit in scale and other_unit in scale:
            return abs(one * scale[unit] - other * scale[other_unit]) < 1e-6
    return False


def _count(text: str) -> float:
    return float(_SPELT.get(text, 0) or text)


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
