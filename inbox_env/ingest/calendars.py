"""An invitation (iCalendar, .ics) as a few lines to read and search: what, when, where, who.

Pure text to text, bounded. Knows nothing of mails; never raises.
"""

from __future__ import annotations

import re

MAX_EVENTS = 50
MAX_LINES = 20_000
_LINE = re.compile(r"([A-Za-z-]{2,40})((?:;[^:\";]*(?:\"[^\"]*\"[^:\";]*)*)*):(.*)", re.DOTALL)
_NAME = re.compile(r";CN=(?:\"([^\"]*)\"|([^;:]*))", re.IGNORECASE)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_ZONE = re.compile(r";TZID=\"?([^;:\"]*)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([\\,;nN])")
_LABELS = {
    "SUMMARY": "Summary",
    "DTSTART": "Start",
    "DTEND": "End",
    "DUE": "Due",
    "RRULE": "Repeats",
    "LOCATION": "Location",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendee",
    "STATUS": "Status",
    "DESCRIPTION": "Description",
}
_EVENTS = ("VEVENT", "VTODO", "VJOURNAL")


def calendar_text(text: str) -> str:
    """Return the events of a calendar, one "Label: value" a line, blank lines between events; "" when there is none."""
    events: list[list[str]] = []
    is_open = False
    for line in _unfolded(text):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        name, parameters, value = found[1].upper(), found[2], found[3].strip()
        if name == "BEGIN" and value.upper() in _EVENTS and len(events) < MAX_EVENTS:
            events.append([])
            is_open = True
        elif name == "END" and value.upper() in _EVENTS:
            is_open = False
        elif name == "BEGIN" and value.upper() == "VALARM":
            is_open = False  # its description is the event's again
        elif is_open and name in _LABELS and value:
            events[-1].append(f"{_LABELS[name]}: {_readable(name, parameters, value)}")
    return "\n\n".join("\n".join(dict.fromkeys(lines)) for lines in events if lines)


def _unfolded(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        line = line.rstrip("\r")
        if line[:1] in (" ", "\t") and lines:
            lines[-1] += line[1:]
        else:
            lines.append(line)
    return lines


def _readable(name: str, parameters: str, value: str) -> str:
    if name in ("ORGANIZER", "ATTENDEE"):
        named = _NAME.search(parameters)
        address = re.sub(r"\Amailto:", "", value, flags=re.IGNORECASE)
        person = (named[1] or named[2] or "") if named else ""
        return f"{person} <{address}>" if person and person != address else address
    if name in ("DTSTART", "DTEND", "DUE"):
        return _time(parameters, value)
    return _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], value).strip()


def _time(parameters: str, value: str) -> str:
    found = _TIME.fullmatch(value)
    if found is None:
        return value
    year, month, day, hour, minute, is_utc = found.groups()
    zone = _ZONE.search(parameters)
    clock = f" {hour}:{minute}" if hour else ""
    return f"{year}-{month}-{day}{clock}" + (" UTC" if is_utc else f" {zone[1]}" if zone and hour else "")
