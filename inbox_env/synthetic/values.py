"""Invented values that answer questions: money, times, dates, phones, codes and counts, as a mail would write them."""

from __future__ import annotations

from random import Random
from typing import Literal

ValueType = Literal["money", "time", "date", "phone", "code", "flight", "room", "count", "person", "place", "hotel"]

MONTHS = "January February March April May June July August September October November December".split()
_LETTERS = "BCDFGHKLMNPRSTVX"


def invent_value(value_type: ValueType, random: Random) -> str:
    """Return one value of a type that needs no name (`person`, `place` and `hotel` come from the name pool)."""
    if value_type == "money":
        return f"{random.choice('$€£')}{random.randrange(100, 1000)}"
    if value_type == "time":
        return f"{random.randrange(1, 13)}:{random.choice(('00', '15', '30', '45'))} {random.choice(('am', 'pm'))}"
    if value_type == "date":
        return f"{random.randrange(1, 29)} {random.choice(MONTHS)}"
    if value_type == "phone":
        return str(random.randrange(100_000, 1_000_000))
    if value_type == "code":
        return f"{random.choice(_LETTERS)}{random.choice(_LETTERS)}{random.randrange(100_000, 1_000_000)}"
    if value_type == "flight":
        return f"{random.choice(_LETTERS)}{random.choice(_LETTERS)}{random.randrange(100, 1000)}"
    if value_type == "room":
        return f"{random.choice(_LETTERS)}{random.randrange(100, 1000)}"
    if value_type == "count":
        return str(random.randrange(11, 480))
    raise ValueError(f"a {value_type} needs a name pool")
