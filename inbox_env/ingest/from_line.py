"""The date of an mbox From_ line, fast for the usual form; `dates` knows the others. Knows nothing of messages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from inbox_env.ingest.dates import EARLIEST, LATEST, from_line_date

_USUAL = re.compile(rb"From [^ \n]+ +[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d\d?) (\d\d):(\d\d):(\d\d) (\d{4})\r?\n?\Z")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


def envelope_date(line: bytes) -> datetime | None:
    """Return when the line says that the mail came, in UTC, or None when it does not say it believably."""
    usual = _USUAL.match(line)
    if usual is None or usual[1] not in _MONTHS:
        return from_line_date(line)
    month, day, hour, minute, second, year = usual.groups()
    try:
        date = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    return date if EARLIEST <= date < LATEST else None
