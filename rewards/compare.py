"""When two typed values say the same, contradict each other, or one says more than the other.

Knows nothing of texts: values come from `rewards.values`.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import date

from rewards.amounts import same_duration
from rewards.values import WEEKDAYS, Value
from rewards.wording import MEASURES

FULL_PHONE_DIGITS = 9  # fewer digits may lack the area code, so that two phones could share them


def satisfies(given: Value, gold: Value, asked: Set[str] = frozenset(), known: Set[str] = frozenset()) -> bool:
    """Return whether `given` says all that `gold` says; a year may be missing from a day and month.

    `asked` holds the question's nouns and `known` the gold forms' nouns too: "4" answers "how many tickets?".
    """
    if given.kind != gold.kind:
        return _satisfies_across(given, gold, asked, known)
    match gold.kind:
        case "number":
            is_equal = given.key == gold.key and _same_noun(given.unit, gold.unit, asked, known)
            return is_equal or _same_duration(given, gold)
        case "money":
            return given == gold
        case "date":
            return _date_says(given, gold)
        case "time":
            return gold.key[0] in (-1, given.key[0]) and not set(given.key[1:]).isdisjoint(gold.key[1:])
        case "phone":
            return given.key == gold.key and _same_phone(given.unit, gold.unit)
        case "zone":
            return given.unit == gold.unit
        case _:
            return given == gold


def is_comparable(given: Value, gold: Value) -> bool:
    """Return whether both speak of the same type, so that one could contradict the other."""
    if given.kind == "number" == gold.kind:
        units = {given.unit, gold.unit}
        return len(units) == 1 or "" in units or units <= MEASURES
    if given.kind == "code" and gold.kind == "number":
        return given.unit.isdigit()  # "0042" is another number than 42
    return given.kind == gold.kind or {given.kind, gold.kind} == {"date", "ordinal"}


def is_compatible(given: Value, gold: Value) -> bool:
    """Return whether two comparable values can both be true of one thing: "March 2001" and "12 March 2001" can."""
    if "ordinal" in (given.kind, gold.kind):
        return given.key[2 if given.kind == "date" else 0] in (0, gold.key[2 if gold.kind == "date" else 0])
    if gold.kind == "number":
        if given.kind != "number":
            return False
        is_other_unit = given.unit != gold.unit and {given.unit, gold.unit} <= MEASURES
        return _same_duration(given, gold) or (given.key == gold.key and not is_other_unit)
    if gold.kind == "date":
        return _dates_agree(given, gold) or (given.key[3] == 1 and _dates_agree(swapped(given), gold))
    if gold.kind == "time":
        return not set(given.key[1:]).isdisjoint(gold.key[1:]) and (given.key[0] in (-1, gold.key[0]))
    if gold.kind == "phone":  # one of them may leave the extension out
        return _same_phone(given.unit, gold.unit) and (given.key == gold.key or not given.key or not gold.key)
    return satisfies(given, gold)


def refines(more: Value, less: Value) -> bool:
    """Return whether `more` says what `less` says and then some: "$4,820" and "4820", "7 pm" and "7:00"."""
    if more == less:
        return False
    if less.kind == "number" and not less.unit:
        return (more.kind in ("money", "percent", "number") and more.key == less.key) or _is_hour(more, less)
    if less.kind == "ordinal":
        return more.kind == "date" and more.key[2] == less.key[0]
    if less.kind == "date" == more.kind:
        return _dates_agree(more, less) and sum(map(bool, more.key[:3])) > sum(map(bool, less.key[:3]))
    if less.kind == "phone" == more.kind:
        return not less.key and _same_phone(more.unit, less.unit)
    if less.kind == "time" == more.kind:
        return set(more.key[1:]) < set(less.key[1:]) or (more.key[1:] == less.key[1:] and less.key[0] == -1)
    return False


def swapped(value: Value) -> Value:
    """Return a date with day and month exchanged."""
    year, month, day, other = value.key
    return value._replace(key=(year, day, month, other))


def weekday_of(value: Value) -> str:
    """Return the weekday of a full date, otherwise ""."""
    year, month, day = map(int, value.key[:3])
    try:
        return WEEKDAYS[date(year, month, day).weekday()]
    except ValueError:
        return ""


def _satisfies_across(given: Value, gold: Value, asked: Set[str], known: Set[str]) -> bool:
    if given.kind == "number" and gold.kind == "money":
        return given.key == gold.key and (not given.unit or given.unit in known)
    if given.kind == "number" and gold.kind == "percent":
        return given.key == gold.key and not given.unit and not asked.isdisjoint(("percent", "percentage", "rate"))
    if given.kind == "number" and gold.kind == "phone":
        return given.key[0] == float(gold.unit) and len(gold.unit) >= 7
    return given.kind == "date" and gold.kind == "ordinal" and given.key[2] == gold.key[0]


def _same_duration(one: Value, other: Value) -> bool:
    return same_duration(one.key[0], one.unit, other.key[0], other.unit)


def _same_noun(given: str, gold: str, asked: Set[str], known: Set[str]) -> bool:
    if given == gold:
        return True
    if not given:
        return gold in asked
    if not gold:
        return given in known
    return given in asked and given not in MEASURES and gold not in MEASURES


def _date_says(given: Value, gold: Value) -> bool:
    return _dates_agree(given, gold) and not (gold.key[2] and not given.key[2]) and bool(given.key[0] or gold.key[2])


def _dates_agree(one: Value, other: Value) -> bool:
    return all(a == b or not a or not b for a, b in zip(one.key[:3], other.key[:3], strict=True))


def _is_hour(more: Value, less: Value) -> bool:
    return more.kind == "time" and any(minutes % 720 == (less.key[0] * 60) % 720 for minutes in more.key[1:])


def _same_phone(one: str, other: str) -> bool:
    """Equal digits, but for a country code in one and a trunk zero (or in America a 1) in the other."""
    one, other = sorted((_without_american_code(one), _without_american_code(other)))  # "+" sorts first
    if one == other:
        return True
    local = other.removeprefix("0")
    return (
        one[0] == "+" != other[0]
        and len(local) >= FULL_PHONE_DIGITS
        and 2 <= len(one) - len(local) <= 4
        and (one.endswith(local))
    )


def _without_american_code(phone: str) -> str:
    digits = phone.removeprefix("+")
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else phone
