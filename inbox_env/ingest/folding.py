"""Folds copies of one mail into one, on disk: memory stays bounded whatever the number of mails.

The first copy is kept; the folders and Message-IDs of the others are added to it. Knows nothing of files or stores.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from inbox_env.emails import Email
from inbox_env.store import is_alive

CREATE_MAILS = "CREATE TABLE mails (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, email BLOB NOT NULL)"
CREATE_COPIES = "CREATE TABLE copies (seq INTEGER PRIMARY KEY, key BLOB NOT NULL, folders TEXT, message_ids TEXT)"
CREATE_COPIES_INDEX = "CREATE INDEX copies_by_key ON copies (key, seq)"
INSERT_MAIL = "INSERT OR IGNORE INTO mails (key, email) VALUES (?, ?)"
INSERT_COPY = "INSERT INTO copies (key, folders, message_ids) VALUES (?, ?, ?)"
SELECT_MAILS = "SELECT key, email FROM mails ORDER BY seq"
SELECT_COPIES = "SELECT folders, message_ids FROM copies WHERE key = ? ORDER BY seq"

_FAST = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")  # the file never outlives the process
_EMAIL = TypeAdapter(Email)
_PREFIX = ".mailsleuth-"


class Folding:
    """A private file of mails by content in `directory`; nothing of it stays, whatever happens."""

    def __init__(self, directory: Path) -> None:
        _remove_orphans(directory)
        descriptor, path = tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=directory)
        os.close(descriptor)
        self._connection = sqlite3.connect(path, isolation_level=None)
        Path(path).unlink()  # SQLite holds it open: the space is given back even after a kill
        for statement in (*_FAST, "BEGIN", CREATE_MAILS, CREATE_COPIES, CREATE_COPIES_INDEX):
            self._connection.execute(statement)

    def __enter__(self) -> Folding:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, email: Email) -> bool:
        """Take one mail in; return whether it is the first with its content."""
        key = bytes.fromhex(email.content_key())
        is_new = self._connection.execute(INSERT_MAIL, (key, _EMAIL.dump_json(email))).rowcount == 1
        if not is_new:
            ids = (email.message_id, *email.aliases)
            self._connection.execute(INSERT_COPY, (key, json.dumps(email.folders), json.dumps(ids)))
        return is_new

    def emails(self) -> Iterator[Email]:
        """Yield each mail once, in the order they came, with the folders and Message-IDs of all its copies."""
        for key, row in self._connection.execute(SELECT_MAILS):
            email = _EMAIL.validate_json(row)
            copies = self._connection.execute(SELECT_COPIES, (key,)).fetchall()
            yield _merged(email, copies) if copies else email


def _remove_orphans(directory: Path) -> None:
    """Remove the files of importers that were killed between making and unlinking them."""
    for path in directory.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            path.unlink(missing_ok=True)


def _merged(email: Email, copies: list[tuple[str, str]]) -> Email:
    folders, aliases = list(email.folders), list(email.aliases)
    for copy_folders, copy_ids in copies:
        folders += json.loads(copy_folders)
        aliases += json.loads(copy_ids)
    others = dict.fromkeys(alias for alias in aliases if alias != email.message_id)
    return replace(email, folders=tuple(dict.fromkeys(folders)), aliases=tuple(others))
