"""Rebuilds a mailbox file from the mail stored in it: new numbers, threads and search indexes, what is broken left out.

The new file is made beside and put in place; the old one stays as NAME.damaged when anything was lost. Knows nothing
of how damage is found.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from inbox_env.database import MAX_EMAILS
from inbox_env.durable import sync
from inbox_env.email_rows import MAIL_COLUMNS, clean, from_row
from inbox_env.emails import Email
from inbox_env.errors import CorruptError
from inbox_env.importing.building import INSERT_SOURCE, SELECT_INBOX_ID
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import migrate
from inbox_env.store import EmailStore, InboxInfo, build_inbox

SELECT_MAILS = f"SELECT {MAIL_COLUMNS} FROM mails WHERE id BETWEEN ? AND ?"
SELECT_SOURCES = "SELECT place, fingerprint, imap_state FROM sources WHERE inbox_id = ?"
_CHUNK = 500


@dataclass(slots=True)
class Rebuilt:
    """What came of it: mails kept and lost, and where the old file is when any were lost."""

    num_emails: int = 0
    num_lost: int = 0
    damaged_path: Path | None = field(default=None)


def rebuild(path: Path) -> Rebuilt:
    """Rebuild every inbox of the file; raises CorruptError when not even the list of inboxes can be read."""
    path = real_path(path)
    fresh = path.with_name(path.name + ".rebuilt")
    with mailbox_lock(path):
        migrate(path)
        _remove(fresh)
        try:
            result = _rebuild_all(path, fresh)
            _put_in_place(path, fresh, result)
        finally:
            _remove(fresh)
    return result


def _rebuild_all(path: Path, fresh: Path) -> Rebuilt:
    result = Rebuilt()
    store = EmailStore.open(path)
    try:
        for info in store.inboxes():
            emails = _readable(store, info, result)
            result.num_emails += build_inbox(fresh, info.name, emails, owner=info.owner, index=info.index)
            _copy_sources(store, info, fresh)
    finally:
        store.close()
    return result


def _readable(store: EmailStore, info: InboxInfo, result: Rebuilt) -> Iterator[Email]:
    base = info.id * MAX_EMAILS
    for start in range(base + 1, base + info.num_emails + 1, _CHUNK):
        end = min(start + _CHUNK, base + info.num_emails + 1)
        try:
            found = [from_row(row) for row in store.database.rows(SELECT_MAILS, (start, end - 1))]
        except CorruptError:
            found = [email for number in range(start, end) for email in _one(store, number)]
        result.num_lost += end - start - len(found)
        yield from found


def _one(store: EmailStore, row_id: int) -> list[Email]:
    try:
        return [from_row(row) for row in store.database.rows(SELECT_MAILS, (row_id, row_id))]
    except CorruptError:
        return []


def _copy_sources(store: EmailStore, info: InboxInfo, fresh: Path) -> None:
    """Keep up to where a mail server was read: its mail need not be fetched again, unless some was lost."""
    with closing(sqlite3.connect(fresh)) as connection, connection:
        (inbox_id,) = connection.execute(SELECT_INBOX_ID, (clean(info.name),)).fetchone()
        rows = [(inbox_id, *row) for row in store.database.rows(SELECT_SOURCES, (info.id,))]
        connection.executemany(INSERT_SOURCE, rows)


def _put_in_place(path: Path, fresh: Path, result: Rebuilt) -> None:
    if not fresh.exists():  # no inbox at all: nothing to rebuild
        return
    if result.num_lost:
        result.damaged_path = path.with_name(path.name + ".damaged")
        result.damaged_path.unlink(missing_ok=True)
        result.damaged_path.hardlink_to(path)
    indexes, fresh_indexes = _indexes(path), _indexes(fresh)
    built = [entry.name for entry in fresh_indexes.iterdir()] if fresh_indexes.exists() else []
    for name in built:  # their names are new: the old ones count until the file is replaced
        indexes.mkdir(exist_ok=True)
        (fresh_indexes / name).rename(indexes / name)
    sync(fresh)
    fresh.replace(path)
    sync(path.absolute().parent)
    for old in indexes.iterdir() if indexes.exists() else ():
        if old.name not in built:
            shutil.rmtree(old, ignore_errors=True)


def _indexes(path: Path) -> Path:
    return path.with_name(path.name + ".whoosh")


def _remove(fresh: Path) -> None:
    fresh.unlink(missing_ok=True)
    shutil.rmtree(_indexes(fresh), ignore_errors=True)
