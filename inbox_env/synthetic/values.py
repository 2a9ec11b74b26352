"""Invented values that answer questions: money, times, dates, phones, codes and counts, as a mail would write them."""

from __future__ import annotations

from random import Random
from typing import Literal

ValueType = Literal["money", "time", "date", "phone", "code", "flight", "room", "count", "person", "place", "hotel"]

MONTHS = "January February March April May June July August September October November December".split()


def invent_value(value_type: ValueType, random: Random) -> str:
    """Return one value of a type that needs no name (`person`, `place` and `hotel` come from the name pool)."""
    if value_type == "money":
        return f"${random.choice((random.randrange(120, 990), random.randrange(1000, 96000, 10))):,}"
    if value_type == "time":
        return f"{random.randrange(1, 13)}:{random.choice(('00', '15', '30', '45'))} {random.choice(('am', 'pm'))}"
    if value_type == "date":
        return f"{random.randrange(1, 29)} {random.choice(MONTHS)}"
    if value_type == "phone":
        return f"{random.randrange(200, 990)}-{random.randrange(100, 1000)}-{random.randrange(1000, 10000)}"
    if value_type == "code":
        return f"{random.choice('BCDFGHKLMNPRSTVX')}{random.choice('BCDFGHKLMNPRSTVX')}-{random.randrange(100, 999999)}"
    if value_type == "flight":
        return f"{random.choice('ABCDEFKLNQSTUVX')}{random.choice('ABCDEFKLNQSTUVX')} {random.randrange(100, 2400)}"
    if value_type == "room":
        return f"{random.choice('ABCDEFGH')}{random.randrange(100, 660)}"
    if value_type == "count":
        return str(random.randrange(3, 480))
    raise ValueError(f"a {value_type} needs a name pool")
