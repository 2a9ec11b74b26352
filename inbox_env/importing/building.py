"""Builds one inbox of a mailbox file from merged rows, in one transaction: afterwards it is the new or the old one.

A new mailbox is built beside and renamed into place; in one that exists the other inboxes are not touched. Knows
nothing of readers or of search syntax.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from inbox_env.database import MAX_EMAILS, cause
from inbox_env.durable import sync
from inbox_env.email_rows import MAIL_COLUMNS, clean, from_row
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError, ResourceError, UsageError
from inbox_env.importing.indexing import IndexHelper, index_apart, take_over_words
from inbox_env.importing.row_files import GAINED_NAME, MERGED_NAME, attach, text_choice, text_joins
from inbox_env.migrations import create_indexes, ensure_schema
from inbox_env.search.fts5 import drop_fts5, table_name
from inbox_env.search.mails import SELECT_MESSAGE_IDS, fingerprint

IndexKind = Literal["fts5", "whoosh"]

INSERT_MAILS = """INSERT INTO main.mails (id, inbox_id, {columns}, thread)
    SELECT {base} + ranks.rank, {inbox_id}, kept.message_id, kept.sent_us, {sender_name}, {sender_email}, {subject},
    coalesce(gains.envelope, {envelope}), {body}, thread
    FROM merged.ranks JOIN merged.kept ON kept.seq = ranks.seq JOIN gained.threads ON threads.rank = ranks.rank
    LEFT JOIN gained.gains ON gains.seq = ranks.seq {joins} ORDER BY ranks.rank"""
INSERT_ALIASES = """INSERT OR IGNORE INTO main.aliases (inbox_id, message_id, mail_id)
    SELECT inbox_id, alias.value, mails.id FROM main.mails, json_each(envelope, '$.aliases') AS alias
    WHERE inbox_id = ?"""
DELETE_ALIASES = "DELETE FROM main.aliases WHERE inbox_id = ?"
DELETE_MAILS = "DELETE FROM main.mails WHERE inbox_id = ?"
SELECT_SUMMARY = (
    "SELECT count(*), count(*) - count(sent_us), min(sent_us), max(sent_us) FROM main.mails WHERE inbox_id = ?"
)
COUNT_RANKS = "SELECT count(*) FROM merged.ranks"
INSERT_INBOX = """INSERT INTO main.inboxes (name, owner_name, owner_email, search_index, num_emails, num_undated)
    VALUES (?, '', '', 'fts5', 0, 0) ON CONFLICT (name) DO NOTHING"""
UPDATE_INBOX = """UPDATE main.inboxes SET owner_name = ?, owner_email = ?, search_index = ?,
    num_emails = ?, num_undated = ?, first_us = ?, last_us = ?, revision = ? WHERE id = ?"""
UPDATE_OWNER = "UPDATE main.inboxes SET owner_name = ?, owner_email = ? WHERE id = ?"
SELECT_INBOX_ID = "SELECT id FROM main.inboxes WHERE name = ?"
SELECT_REVISION = "SELECT revision FROM main.inboxes WHERE name = ?"
# A file is read whole each time; of a mail server only what is new, which is added to what is known.
INSERT_SOURCE = """INSERT INTO main.sources (inbox_id, place, fingerprint, imap_state, num_mails) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (inbox_id, place) DO UPDATE SET fingerprint = excluded.fingerprint, imap_state = excluded.imap_state,
    num_mails = excluded.num_mails + iif(excluded.imap_state IS NULL, 0, num_mails)"""
SELECT_MAILS = f"SELECT id, {MAIL_COLUMNS} FROM main.mails WHERE id BETWEEN ? AND ? ORDER BY id"

_UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_OPCODES = 100_000
ANY_REVISION = -1


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Where mail came from, in which state it was, and how many mails were read there: kept with the inbox."""

    place: str
    fingerprint: str
    num_mails: int
    imap_state: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be built: the merged rows in `folder` as one inbox of the mailbox at `path`.

    `before` is the revision that the inbox must still have, None when it must not be there.
    """

    path: Path
    inbox: str
    folder: Path
    owner: Address
    index: IndexKind
    sources: tuple[SourceRecord, ...] = ()
    helper: IndexHelper | None = None
    is_stopped: Callable[[], bool] = field(default=lambda: False)
    before: int | None = ANY_REVISION


def build(plan: Plan) -> int:
    """Build the inbox and return its number of mails; the file is as it was when anything goes wrong.

    Raises CorruptError, and sqlite3.DatabaseError as `write_error` explains it.
    """
    is_new = not plan.path.exists()
    target = plan.folder / "mailbox.db" if is_new else plan.path
    if is_new:
        target.unlink(missing_ok=True)
    revision = secrets.randbits(62) + 1
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        if is_new:
            connection.execute("PRAGMA main.journal_mode = OFF")
            connection.execute("PRAGMA main.synchronous = OFF")
        connection.execute("PRAGMA main.cache_size = -32768")
        try:
            num_emails = _build(connection, plan, revision)
        except BaseException:
            shutil.rmtree(whoosh_directory(plan.path, plan.inbox, revision), ignore_errors=True)
            raise
    if is_new:
        _put_in_place(target, plan.path)
    remove_whoosh(plan.path, plan.inbox, except_revision=revision if plan.index == "whoosh" else None)
    return num_emails


def record_sources(path: Path, inbox: str, sources: Iterable[SourceRecord]) -> None:
    """Write down how far the sources were read, when that is all there is to write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(SELECT_INBOX_ID, (clean(inbox),)).fetchone()
        if row is None:
            what = "the inbox was removed by another program meanwhile"
            raise ResourceError(46, what, where=str(path), next_step="import again")
        _insert_sources(connection, row[0], sources)
        connection.execute("COMMIT")


def whoosh_directory(path: Path, inbox: str, revision: int) -> Path:
    """Return the folder beside the mailbox file with the Whoosh index of an inbox as built at this revision."""
    return path.with_name(path.name + ".whoosh") / f"{_whoosh_name(inbox)}-{revision:016x}"


def whoosh_directories(path: Path, inbox: str) -> list[Path]:
    """Return all folders with Whoosh indexes of an inbox, old and unfinished ones too."""
    return sorted(path.with_name(path.name + ".whoosh").glob(f"{_whoosh_name(inbox)}*"))


def remove_whoosh(path: Path, inbox: str, *, except_revision: int | None = None) -> None:
    """Remove the Whoosh indexes of an inbox, save the one of this revision."""
    kept = None if except_revision is None else whoosh_directory(path, inbox, except_revision)
    for directory in whoosh_directories(path, inbox):
        if directory != kept:
            shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # it holds those of other inboxes
        path.with_name(path.name + ".whoosh").rmdir()


def _whoosh_name(inbox: str) -> str:
    return sha256(inbox.encode()).hexdigest()[:16]


def write_error(error: sqlite3.DatabaseError, path: Path) -> UsageError | CorruptError | ResourceError:
    """Return what SQLite's error on writing the mailbox means to its user."""
    what = f"the mailbox cannot be written: {cause(error)}"
    if not isinstance(error, sqlite3.OperationalError):
        return CorruptError(42, what, where=str(path), next_step="name another file")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE:
        return UsageError(43, what, where=str(path), next_step="check that the folder may be written")
    return ResourceError(44, what, where=str(path))


def _build(connection: sqlite3.Connection, plan: Plan, revision: int) -> int:
    connection.execute("BEGIN IMMEDIATE")
    is_empty = ensure_schema(connection, plan.path)
    _check_unchanged(connection, plan)
    connection.execute(INSERT_INBOX, (clean(plan.inbox),))
    inbox_id = int(connection.execute(SELECT_INBOX_ID, (clean(plan.inbox),)).fetchone()[0])
    num_files = attach(connection, plan.folder, MERGED_NAME, GAINED_NAME)
    connection.set_progress_handler(plan.is_stopped, _OPCODES)
    num_emails = _fill(connection, plan, inbox_id, revision, num_files)
    if is_empty:
        create_indexes(connection)
    _index(connection, plan, inbox_id, revision)
    _insert_sources(connection, inbox_id, plan.sources)
    connection.set_progress_handler(None, 0)
    connection.execute("COMMIT")
    return num_emails


def _check_unchanged(connection: sqlite3.Connection, plan: Plan) -> None:
    """Raise ResourceError when the inbox is not the one that was read: what another writer added would be lost."""
    row = connection.execute(SELECT_REVISION, (clean(plan.inbox),)).fetchone()
    if plan.before != ANY_REVISION and plan.before != (None if row is None else row[0]):
        what = "the inbox was changed by another program meanwhile"
        raise ResourceError(46, what, where=str(plan.path), next_step="import again")


def _insert_sources(connection: sqlite3.Connection, inbox_id: int, sources: Iterable[SourceRecord]) -> None:
    rows = ((inbox_id, one.place, one.fingerprint, one.imap_state, one.num_mails) for one in sources)
    connection.executemany(INSERT_SOURCE, rows)


def _fill(connection: sqlite3.Connection, plan: Plan, inbox_id: int, revision: int, num_files: int) -> int:
    connection.execute(DELETE_ALIASES, (inbox_id,))
    connection.execute(DELETE_MAILS, (inbox_id,))
    texts = {
        name: text_choice(num_files, name) for name in ("sender_name", "sender_email", "subject", "envelope", "body")
    }
    base = inbox_id * MAX_EMAILS
    places = {"base": base, "inbox_id": inbox_id, "joins": text_joins(num_files)}
    connection.execute(INSERT_MAILS.format(columns=MAIL_COLUMNS, **places, **texts))
    connection.execute(INSERT_ALIASES, (inbox_id,))
    summary = connection.execute(SELECT_SUMMARY, (inbox_id,)).fetchone()
    if (summary[0],) != connection.execute(COUNT_RANKS).fetchone():
        raise CorruptError(46, "not every mail was written", where=str(plan.path), next_step="import the mail again")
    owner = (clean(plan.owner.name), clean(plan.owner.email))
    connection.execute(UPDATE_INBOX, (*owner, plan.index, *summary, revision, inbox_id))
    return int(summary[0])


def _index(connection: sqlite3.Connection, plan: Plan, inbox_id: int, revision: int) -> None:
    drop_fts5(connection, inbox_id)
    if plan.index == "whoosh":
        from inbox_env.search.whoosh import build_whoosh  # slow to import and seldom used

        message_ids = (row[0] for row in connection.execute(SELECT_MESSAGE_IDS, (inbox_id,)))
        newest_first = (email for _, email in written(connection, inbox_id, "DESC"))
        build_whoosh(whoosh_directory(plan.path, plan.inbox, revision), newest_first, fingerprint(message_ids))
        return
    if plan.helper is None or not plan.helper.has_finished(plan.is_stopped):
        connection.execute("PRAGMA shrink_memory")  # the words are gathered in as much memory as the cache had
        index_apart(plan.folder, plan.is_stopped)
    take_over_words(connection, table_name(inbox_id), plan.folder)


def written(
    connection: sqlite3.Connection, inbox_id: int, direction: Literal["ASC", "DESC"] = "ASC"
) -> Iterator[tuple[int, Email]]:
    """Yield (number, mail) of every mail of the inbox, as a writing connection sees it."""
    base = inbox_id * MAX_EMAILS
    for row in connection.execute(f"{SELECT_MAILS} {direction}", (base + 1, base + MAX_EMAILS - 1)):
        yield row[0] - base, from_row(row[1:])


def _put_in_place(built: Path, path: Path) -> None:
    sync(built)
    if path.exists():
        what = "another program made a mailbox here meanwhile"
        raise ResourceError(47, what, where=str(path), next_step="import again")
    built.replace(path)
    sync(path.absolute().parent)
