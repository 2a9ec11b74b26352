"""Times of day said in another time zone: 5 pm Central is 6 pm Eastern.

Knows nothing of texts: values come from `rewards.values`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewards.values import DAY_MINUTES, NO_TIME, Value

_AMERICAN = {"e": -5, "c": -6, "m": -7, "p": -8}  # in winter; without EST or EDT they move together
_OTHER = {"gmt": 0, "bst": 1, "cet": 1, "cest": 2}


def in_zone_of(gold: Sequence[Value], given: Sequence[Value], *, has_day: bool) -> tuple[Value, ...]:
    """Return `given` with its times in the one zone that `gold` names; as it is where that cannot be told.

    A zone belongs to the times since the zone before. With `has_day` a time that would move to another day stays.
    """
    zones = {zone.unit: zone for zone in gold if zone.kind == "zone"}
    values, start = list(given), 0
    if len(zones) != 1:
        return tuple(values)
    [wanted] = zones.values()
    for index, value in enumerate(values):
        if value.kind != "zone":
            continue
        minutes = minutes_between(value, wanted)
        times = {
            place: _later(values[place], minutes or 0) for place in range(start, index) if values[place].kind == "time"
        }
        if minutes and times and not (has_day and any(moves for _, moves in times.values())):
            for place, (time, _) in times.items():
                values[place] = time
            values[index] = wanted
        start = index + 1
    return tuple(values)


def minutes_between(one: Value, other: Value) -> int | None:
    """Return by how many minutes clocks in `other` are ahead of those in `one`; None when the season decides."""
    if one.unit in _AMERICAN and other.unit in _AMERICAN:
        is_same_season = not one.key or not other.key or one.key == other.key
        return 60 * (_AMERICAN[other.unit] - _AMERICAN[one.unit]) if is_same_season else None
    ours, theirs = _hours(one), _hours(other)
    return None if ours is None or theirs is None else 60 * (theirs - ours)


def _hours(zone: Value) -> int | None:
    """Hours ahead of Greenwich; an American zone has them only when it says its season."""
    if zone.unit in _AMERICAN:
        return _AMERICAN[zone.unit] + int(zone.key[0]) - 1 if zone.key else None
    return _OTHER.get(zone.unit)


def _later(time: Value, minutes: int) -> tuple[Value, bool]:
    """A time moved, and whether it came to lie on another day."""
    second, *read = time.key
    if any(minute >= NO_TIME for minute in read):
        return time, False
    moved = [minute + minutes for minute in read]
    key = (second, *sorted(minute % DAY_MINUTES for minute in moved))
    return time._replace(key=key), any(not 0 <= minute < DAY_MINUTES for minute in moved)
