"""Fills the FTS5 index of an inbox from merged rows: here, or in a helper process while the mails are written.

It is filled apart and taken over by copying the plain tables in which FTS5 keeps it. Light to import. Knows nothing
of mailboxes beyond the one table.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from inbox_env.importing.row_files import MERGED_NAME, attach, text_choice, text_joins
from inbox_env.search.fts5 import CREATE_TABLE, OPTIMIZE

TABLE = "apart"
INSERT_WORDS = """INSERT INTO apart (rowid, subject, who, body) SELECT rank, {subject}, {who}, {body}
    FROM merged.ranks {joins} ORDER BY rank"""
SET_OPTION = "INSERT INTO apart (apart, rank) VALUES (?, ?)"
EMPTY_SHADOW = "DELETE FROM main.{table}_{shadow}"
COPY_SHADOW = "INSERT INTO main.{table}_{shadow} SELECT * FROM words.apart_{shadow}"

SHADOW_TABLES = ("data", "idx", "docsize", "config")
WORDS_NAME = "words.db"
_OPCODES = 100_000
_LOOK_SECONDS = 0.005
_BUILDING = (("hashsize", 1 << 26), ("automerge", 0))  # words are gathered in memory: fewer pieces to merge at the end
_USUAL = (("hashsize", 1 << 20), ("automerge", 4))  # FTS5's own defaults
_START = """import json, sys
from pathlib import Path
sys.path[:] = json.loads(sys.argv[1])
from inbox_env.importing.indexing import index_apart
if sys.stdin.read(1):
    index_apart(Path(sys.argv[2]))"""


def index_apart(folder: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Fill the index of the rows merged in `folder` into a file of its own there."""
    path = folder / WORDS_NAME
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"):
            connection.execute(statement)
        num_files = attach(connection, folder, MERGED_NAME)
        connection.set_progress_handler(is_stopped, _OPCODES)
        connection.execute("BEGIN")
        _fill(connection, num_files)
        connection.execute("COMMIT")


def take_over_words(connection: sqlite3.Connection, table: str, folder: Path) -> None:
    """Make `table` with the index that lies in `folder`: nothing but its whole pages is written to the mailbox."""
    connection.execute("ATTACH DATABASE ? AS words", (str(folder / WORDS_NAME),))
    connection.execute(CREATE_TABLE.format(table=table))
    for shadow in SHADOW_TABLES:
        connection.execute(EMPTY_SHADOW.format(table=table, shadow=shadow))
        connection.execute(COPY_SHADOW.format(table=table, shadow=shadow))


def _fill(connection: sqlite3.Connection, num_files: int) -> None:
    connection.execute(CREATE_TABLE.format(table=TABLE))
    for option in _BUILDING:
        connection.execute(SET_OPTION, option)
    words = {
        "subject": text_choice(num_files, "coalesce({t}.subject_words, {t}.subject)"),
        "who": text_choice(num_files, "who_words"),
        "body": text_choice(num_files, "coalesce({t}.body_words, lower({t}.body))"),
    }
    connection.execute(INSERT_WORDS.format(joins=text_joins(num_files), **words))
    connection.execute(OPTIMIZE.format(table=TABLE))
    for option in _USUAL:
        connection.execute(SET_OPTION, option)


class IndexHelper:
    """The helper process, ready before it is told to start; ended when the block is left."""

    def __init__(self, folder: Path) -> None:
        arguments = (json.dumps(sys.path), str(folder))
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, our own code
            [sys.executable, "-c", _START, *arguments],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def start(self) -> None:
        """Let it fill the index of what `merge_rows` left."""
        if self._process.stdin is not None:
            with suppress(OSError), self._process.stdin:  # it may have died: `has_finished` tells
                self._process.stdin.write(b"!")

    def __enter__(self) -> IndexHelper:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def has_finished(self, is_stopped: Callable[[], bool]) -> bool:
        """Wait; whether the index is there. Without it, for whatever reason, it can be filled by the caller."""
        while (code := self._process.poll()) is None:
            if is_stopped():
                raise sqlite3.OperationalError("interrupted")
            time.sleep(_LOOK_SECONDS)
        return code == 0
