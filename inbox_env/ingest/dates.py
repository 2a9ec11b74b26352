"""When a mail was sent: the first believable of Date, Received and the mbox From_ line, in UTC.

Believable is a fixed range, so that the same mail has the same date whenever it is imported. Never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2070, 1, 1, tzinfo=UTC)
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
    try:
        date = parsedate_to_datetime(value)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError, AttributeError):
        return None
    return date if EARLIEST <= date < LATEST else None


def date_of(date: str, received: Iterable[str], fallback: datetime | None) -> tuple[datetime | None, str]:
    """Return the sending date and a defect ("" when the Date field was good)."""
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
