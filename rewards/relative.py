"""Days said by their distance from the day of the question: "yesterday", "two days ago", "last Friday".

Works on text in its normal form. What could mean two days ("next Friday") stays. Knows nothing of right and wrong.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from rewards.values import WEEKDAYS, normal

_FIXED = {
    "the day before yesterday": -2,
    "yesterday": -1,
    "today": 0,
    "tonight": 0,
    "tomorrow": 1,
    "the day after tomorrow": 2,
}
_COUNTS = "one two three four five six seven eight nine ten".split()
_COUNT = rf"(?:\d{{1,2}}|an?|{'|'.join(_COUNTS)})"
_RELATIVE = re.compile(
    rf"\b(?:(?P<fixed>{'|'.join(sorted(_FIXED, key=len, reverse=True))})"
    rf"|(?P<count>{_COUNT})\s(?P<unit>day|week)s?\s(?P<side>ago|from now)"
    rf"|in\s(?P<later>{_COUNT})\s(?P<laterunit>day|week)s?(?!\s(?:before|after)\b)"
    rf"|(?P<which>last|this)\s(?P<weekday>{'|'.join(WEEKDAYS)})[a-z]*)\b"
)


def with_dates(text: str, today: date) -> str:
    """Return `text` in its normal form with such days written as dates."""
    return _RELATIVE.sub(lambda match: _written(match, today), normal(text))


def _written(match: re.Match[str], today: date) -> str:
    try:
        return (today + timedelta(days=_distance(match, today))).isoformat()
    except OverflowError:
        return match.group()


def _distance(match: re.Match[str], today: date) -> int:
    if match["fixed"]:
        return _FIXED[match["fixed"]]
    if match["which"]:
        ahead = (WEEKDAYS.index(match["weekday"]) - today.weekday()) % 7
        return ahead if match["which"] == "this" else ahead - 7  # "last Friday" said on a Friday is a week ago
    count, unit = match["count"] or match["later"], match["unit"] or match["laterunit"]
    number = int(count) if count.isdigit() else 1 if count in ("a", "an") else _COUNTS.index(count) + 1
    days = number * (7 if unit == "week" else 1)
    return -days if match["side"] == "ago" else days
