"""Brings the schema of a mailbox file up to date, step by step, inside the caller's transaction.

Knows nothing of mail but what the schema needs: the thread of each mail.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlite_utils import Database as SqliteUtils

from inbox_env.database import (
    CREATE_SOURCES,
    CREATE_THREAD_INDEX,
    INDEXES,
    INSERT_SCHEMA,
    MAX_EMAILS,
    SCHEMA_VERSION,
    SELECT_SCHEMA,
    TABLES,
    check_readable,
)
from inbox_env.errors import CorruptError
from inbox_env.threads import ThreadFinder

UPDATE_SCHEMA = "UPDATE mailsleuth_schema SET version = ?"
SELECT_INBOX_IDS = "SELECT id FROM inboxes"
SELECT_LINKS = (
    "SELECT message_id, envelope, subject, sender_email, sent_us FROM mails WHERE id BETWEEN ? AND ? ORDER BY id"
)
UPDATE_THREAD = "UPDATE mails SET thread = ? WHERE id = ?"

OLDEST = 2


def ensure_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """Make or migrate the schema; return whether the file was empty. Raises CorruptError for a foreign file.

    The indexes of an empty file are left to `create_indexes`, which is faster once the rows are there.
    """
    database = SqliteUtils(connection, execute_plugins=False)
    tables = database.table_names()
    if not tables:
        for statement in TABLES:
            database.execute(statement)
        database.execute(INSERT_SCHEMA, (SCHEMA_VERSION,))
        return True
    row = database.execute(SELECT_SCHEMA).fetchone() if "mailsleuth_schema" in tables else None
    if row is None or not isinstance(row[0], int) or not OLDEST <= row[0] <= SCHEMA_VERSION:
        next_step = "name another file, or a mailbox made by this version"
        raise CorruptError(45, "not a mailbox of this version", where=str(path), next_step=next_step)
    if row[0] < 3:
        _to_version_3(database)
        database.execute(UPDATE_SCHEMA, (3,))
    if row[0] < 4:
        _to_version_4(database)
        database.execute(UPDATE_SCHEMA, (4,))
    return False


def create_indexes(connection: sqlite3.Connection) -> None:
    """Make the indexes of a new file."""
    for statement in INDEXES:
        connection.execute(statement)


def is_current(path: Path) -> bool:
    """Whether the file at `path` has this version's schema; raises UsageError or CorruptError when it has none."""
    check_readable(path)
    with _explained(path), closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute(SELECT_SCHEMA).fetchone() == (SCHEMA_VERSION,))


def migrate(path: Path) -> bool:
    """Bring the file at `path` up to date in one transaction; return whether there was anything to do."""
    if is_current(path):
        return False
    with _explained(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ensure_schema(connection, path)
        connection.execute("COMMIT")
    return True


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        what = "not a mailsleuth mailbox, or too damaged to be mended"  # a rebuild begins with these reads too
        next_step = "name another file, or import the mail again into a new one"
        raise CorruptError(30, what, where=str(path), next_step=next_step) from error


def _to_version_3(database: SqliteUtils) -> None:
    """Threads, revisions of inboxes, and where the mail came from."""
    database.table("mails").add_column("thread", int)
    database.table("inboxes").add_column("revision", int, not_null_default=0)
    database.execute(CREATE_SOURCES)
    for (inbox_id,) in database.execute(SELECT_INBOX_IDS).fetchall():
        _find_threads(database, inbox_id * MAX_EMAILS)
    database.execute(CREATE_THREAD_INDEX)


def _to_version_4(database: SqliteUtils) -> None:
    """How many mails were read from each source: not known of what was read before."""
    if "num_mails" not in database.table("sources").columns_dict:
        database.table("sources").add_column("num_mails", int)


def _find_threads(database: SqliteUtils, base: int) -> None:
    finder = ThreadFinder()
    for message_id, text, subject, sender, sent_us in database.execute(SELECT_LINKS, (base + 1, base + MAX_EMAILS - 1)):
        envelope = json.loads(text)
        people = [sender, *(person["email"] for key in ("to", "cc", "bcc") for person in envelope.get(key, ()))]
        ids = (message_id, envelope.get("in_reply_to"), envelope.get("references", ()))
        finder.add(*ids, subject, people, sent_us, envelope.get("aliases", ()))
    for number, place in enumerate(finder.threads(), 1):
        database.execute(UPDATE_THREAD, (place + 1, base + number))
