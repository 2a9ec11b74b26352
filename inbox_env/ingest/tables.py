"""Stream tables of mails: CSV, JSON lines and Parquet files, row by row, each row a mail or a reject.

Parquet needs pyarrow (the extra "hub"). Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

from inbox_env.errors import UsageError
from inbox_env.ingest.files import open_regular, printable
from inbox_env.ingest.records import MAX_MESSAGE_BYTES, RawMail, Reject, digest
from inbox_env.ingest.table_rows import COLUMNS, row_to_mail

_BATCH_ROWS = 500


def read_csv(file: BinaryIO, path: str, select: str = "") -> Iterator[RawMail | Reject]:
    """Yield the mails of a CSV file, as `select` says; a row that is no row of the table is a reject."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    old_limit = csv.field_size_limit(MAX_MESSAGE_BYTES)
    try:
        yield from _read_rows(csv.reader(text, strict=True), path, select)
    finally:
        csv.field_size_limit(old_limit)
        text.detach()


def _read_rows(rows: Iterator[list[str]], path: str, select: str) -> Iterator[RawMail | Reject]:
    names: list[str] | None = None
    for number in count():
        try:
            row = next(rows)
        except StopIteration:
            if number < 2:
                yield Reject(path=path, offset=0, reason="a table without rows")
            return
        except csv.Error as error:
            yield Reject(path=path, offset=0, reason=f"row {number} cannot be read: {error}"[:200])
            if names is None:
                return
            continue
        if names is None:
            names = row
        elif len(row) != len(names):
            reason = f"row {number} has {len(row)} columns, not {len(names)}"
            yield Reject(path=path, offset=0, reason=reason, sha256=digest(repr(row).encode()))
        else:
            mail = row_to_mail(dict(zip(names, row, strict=True)), path, number, select)
            if mail is not None:
                yield mail


def read_json_lines(file: BinaryIO, path: str, select: str = "") -> Iterator[RawMail | Reject]:
    """Yield the mails of a file with one JSON object a line."""
    offset = 0
    while line := file.readline(MAX_MESSAGE_BYTES):
        try:
            row = json.loads(line) if line.strip() else None
            if row is not None and not isinstance(row, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError):
            yield Reject(path=path, offset=offset, reason="a line that is no JSON object", sha256=digest(line))
            row = None
        mail = row_to_mail(row, path, offset, select) if row is not None else None
        if mail is not None:
            yield mail
        offset += len(line)


def read_parquet(place: Path, select: str = "") -> Iterator[RawMail | Reject]:
    """Yield the mails of a Parquet file, a batch of rows at a time; raises UsageError without pyarrow."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        next_step = "in the project: pip install -e '.[hub]'"
        raise UsageError(54, "reading Parquet needs the package pyarrow", where=printable(place),
                         next_step=next_step) from error  # fmt: skip
    path, number = printable(place), 0
    with open_regular(place) as file:
        try:
            table = ParquetFile(file)
            names = [name for name in (*COLUMNS, "file", "message") if name in table.schema_arrow.names]
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    mail = row_to_mail(row, path, number, select)
                    if mail is not None:
                        yield mail
        except (ArrowException, OSError) as error:
            reason = f"the table is damaged after row {number}: {type(error).__name__}"
            yield Reject(path=path, offset=0, reason=reason)
