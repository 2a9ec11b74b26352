"""When a mail was sent: the first believable of Date, Received and the mbox From_ line, in UTC.

Believable is a fixed range, so that the same mail has the same date whenever it is imported. Never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2070, 1, 1, tzinfo=UTC)
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_USUAL = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?([0-9]{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"((?:19|20)[0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([01][0-9])([0-5][0-9])(?: \([A-Z]{1,5}\))?"
)
_FROM_LINE = re.compile(
    rb"From [^\n]*?\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +"
    rb"(?:(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})"
    rb"|(?P<day2>\d{1,2}) (?P<month2>[A-Z][a-z]{2})(?: (?P<year2>\d{4}))?) +"
    rb"(?P<time>\d{1,2}:\d\d(?::\d\d)?)(?P<rest>[^\n]{0,60})"
)
_THUNDERBIRD_LINE = re.compile(rb"From -[ \t]*\r?(?:\n|\Z)")
_YEAR = re.compile(rb"\b(?:19|20)\d\d\b")
_ZONE = re.compile(rb"[+-]\d{4}\b|\b[A-Z]{3,4}\b")


def parse_date(value: str) -> datetime | None:
    """Return the instant in UTC, or None when the text is no date or not a believable one."""
    if not value or len(value) > 200:
        return None
    usual = _USUAL.fullmatch(value)
    return _usual_date(usual) if usual else parse_odd_date(value)


def parse_odd_date(value: str) -> datetime | None:
    """Return what `parse_date` does, for any text; the standard library reads it."""
    try:
        date = parsedate_to_datetime(value)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError, AttributeError):
        return None
    return date if EARLIEST <= date < LATEST else None


def _usual_date(found: re.Match[str]) -> datetime | None:
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        local = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        date = local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None
    return date if EARLIEST <= date < LATEST else None


def date_of(dates: Iterable[str], received: Iterable[str], fallback: datetime | None) -> tuple[datetime | None, str]:
    """Return the sending date and a defect ("" when a Date field was good)."""
    for date in dates:
        sent = parse_date(date)
        if sent is not None:
            return sent, ""
    for hop in received:
        sent = parse_date(hop.rpartition(";")[2].strip())
        if sent is not None:
            return sent, "date_from_received"
    return (fallback, "date_from_envelope") if fallback is not None else (None, "no_date")


def from_line_date(line: bytes) -> datetime | None:
    """Return the date of an mbox From_ line ("From who Mon Jan  1 00:00:00 2001"), or None when it has none."""
    match = _FROM_LINE.match(line)
    year = match and (match["year2"] or _first(_YEAR, match["rest"]))
    if not match or not year:
        return None
    zone = _first(_ZONE, match["rest"].replace(year, b"")) or b"+0000"
    parts = (match["day"] or match["day2"], match["month"] or match["month2"], year, match["time"], zone)
    return parse_date(b" ".join(parts).decode("ascii"))


def is_from_line(line: bytes) -> bool:
    """Whether the line has the shape of an mbox separator: "From ", someone, a weekday, a time and a year.

    Thunderbird's dateless "From -" is one as well.
    """
    match = _FROM_LINE.match(line)
    if match is None:
        return _THUNDERBIRD_LINE.match(line) is not None
    return bool(match["year2"] or _YEAR.search(match["rest"]))


def _first(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    match = pattern.search(text)
    return match[0] if match else b""
