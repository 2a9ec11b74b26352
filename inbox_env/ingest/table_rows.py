"""Mails that are published as rows of a table: Kaggle's emails.csv (file, message) and the columns of ART-E's dataset.

A row becomes the bytes of a message, so that one reader reads all mail. Knows nothing of files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import PurePosixPath

from inbox_env.ingest.records import RawMail, Reject

COLUMNS = ("message_id", "subject", "from", "to", "cc", "bcc", "date", "body", "file_name")
_KAGGLE, _HUB = frozenset(("file", "message")), frozenset(("message_id", "from", "body"))
_JSON_KEYS = re.compile(rb'"([a-z_]+)"[ \t]*:')
_ADDRESS_FIELDS = ("from", "to", "cc", "bcc")
_MAX_HEAD_CHARS = 4_000
_MIME = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
_LINE = re.compile(r"[^\r\n]*")


def is_csv_of_mail(head: bytes) -> bool:
    """Whether the bytes begin with the header line of one of the known tables."""
    line = _LINE.match(head[:_MAX_HEAD_CHARS].decode("utf-8-sig", "replace"))
    if line is None or "," not in line[0]:
        return False
    try:
        names = frozenset(next(csv.reader([line[0]], strict=True)))
    except (csv.Error, StopIteration):
        return False
    return names >= _KAGGLE or names >= _HUB


def is_json_of_mail(head: bytes) -> bool:
    """Whether the bytes begin with an object that has the keys of one of the known tables."""
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    names = frozenset(name.decode("ascii") for name in _JSON_KEYS.findall(head))
    return names >= _KAGGLE or names >= _HUB


def row_to_mail(row: Mapping[str, object], path: str, number: int, select: str = "") -> RawMail | Reject | None:
    """Return the mail in a row, or None when it lies outside the folder `select` ("lay-k", "lay-k/inbox")."""
    file = _text(row.get("file") or row.get("file_name"))
    place = _without_top(PurePosixPath(file)).parent if file else PurePosixPath()
    wanted = _without_top(PurePosixPath(select))
    if not place.is_relative_to(wanted):
        return None
    folder = place.relative_to(wanted).as_posix()
    where = f"{path}!{file}" if file else f"{path}!row {number}"
    raw = _text(row["message"]).encode("utf-8", "surrogateescape") if row.get("message") else _to_bytes(row)
    if not raw.strip():
        return Reject(path=where, offset=0, reason="a row without a mail")
    return RawMail(raw, "" if folder == "." else folder, where)


def _without_top(path: PurePosixPath) -> PurePosixPath:
    parts = [part for part in path.parts if part != "/"]
    return PurePosixPath(*parts[1:]) if parts and parts[0] == "maildir" else PurePosixPath(*parts)


def _to_bytes(row: Mapping[str, object]) -> bytes:
    """Return the message that the columns describe, b"" when they describe none: headers and text in UTF-8."""
    message_id, date = _line(row.get("message_id")), _date(row.get("date"))
    fields = {
        "Message-ID": message_id if message_id.startswith("<") or not message_id else f"<{message_id}>",
        "Date": format_datetime(date) if date is not None else "",
        **{name.title(): ", ".join(filter(None, map(_line, _items(row.get(name))))) for name in _ADDRESS_FIELDS},
        "Subject": _line(row.get("subject")),
    }
    header = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    body = _text(row.get("body"))
    if not header and not body:
        return b""
    return f"{header}{_MIME}\n{body}".encode("utf-8", "replace")


def _items(value: object) -> Sequence[object]:
    """The addresses of a cell: a list, or a list's text as a CSV has it."""
    if isinstance(value, str):
        inner = value.strip()
        if inner.startswith("[") and inner.endswith("]"):
            return re.findall(r"[^\s,'\"\[\]]+", inner)
        return [value]
    return value if isinstance(value, Sequence) else []


def _date(value: object) -> datetime | None:
    """The instant of a cell: a timestamp, ISO text, or a number of seconds, milli- or microseconds; UTC is meant."""
    try:
        if isinstance(value, int | float):
            seconds = float(value)
            while abs(seconds) > 1e11:
                seconds /= 1_000
            value = datetime.fromtimestamp(seconds, UTC)
        elif isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _line(value: object) -> str:
    """One line: a cell cannot add a header field."""
    return " ".join(_text(value).replace("\0", " ").split())


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
