"""What a judge said before, kept in one SQLite file: asking the same again costs nothing, and a replay agrees.

Only what was said is kept, by the key of what was asked; an outage is not. It also counts what was spent, so that a
budget outlasts the process. Several processes may use one file. Knows nothing of judges.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbox_env.errors import CorruptError, ResourceError
from rewards.judge_model import Spent

CREATE_REPLIES = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID"
CREATE_SPENT = """CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY CHECK (id = 1), calls INTEGER NOT NULL, cost REAL NOT NULL)"""
INSERT_NOTHING_SPENT = "INSERT OR IGNORE INTO spent (id, calls, cost) VALUES (1, 0, 0)"
SELECT_REPLY = "SELECT reply FROM replies WHERE key = ?"
INSERT_REPLY = "INSERT OR REPLACE INTO replies (key, reply) VALUES (?, ?)"
SELECT_SPENT = "SELECT calls, cost FROM spent"
ADD_SPENT = "UPDATE spent SET calls = calls + ?, cost = cost + ?"

_PATIENCE_SECONDS = 30.0  # for another process that writes


class JudgeCache:
    """The replies on file, and what they cost; without a path they last as long as the process."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._named():
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )
            if path is not None:
                self._connection.execute("PRAGMA journal_mode = WAL")
            for statement in (CREATE_REPLIES, CREATE_SPENT, INSERT_NOTHING_SPENT):
                self._connection.execute(statement)

    def get(self, key: str) -> str | None:
        """Return what was said to this key, or None."""
        with self._named():
            row = self._connection.execute(SELECT_REPLY, (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, reply: str) -> None:
        """Keep what was said."""
        with self._named():
            self._connection.execute(INSERT_REPLY, (key, reply))

    def spent(self) -> Spent:
        """Return what all calls so far took."""
        with self._named():
            calls, cost = self._connection.execute(SELECT_SPENT).fetchone()
        return Spent(int(calls), float(cost))

    def spend(self, num_calls: int, cost: float) -> None:
        """Add to what was spent."""
        with self._named():
            self._connection.execute(ADD_SPENT, (num_calls, cost))

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._connection.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let one thread in at a time, and say in one line what SQLite's failures mean."""
        where = str(self.path)
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                raise ResourceError(40, f"cannot use the judge's cache: {error}", where=where) from error
            except sqlite3.DatabaseError as error:
                next_step = "remove it: the judge is asked again"
                raise CorruptError(41, "the judge's cache is damaged", where=where, next_step=next_step) from error
