"""Looks a mailbox file over: is it whole, do its counts agree, does every index belong to its mails.

The quick look reads the file's structure and a sample; the full one decodes every mail. Changes nothing, save that a
file of an older version is brought up to date first. Knows nothing of how damage is mended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbox_env.database import MAX_EMAILS, cause, read_only_uri
from inbox_env.email_rows import MAIL_COLUMNS, from_row
from inbox_env.errors import CorruptError
from inbox_env.importing.building import SELECT_REVISION, whoosh_directory
from inbox_env.importing.indexing import SHADOW_TABLES
from inbox_env.importing.staging import staging_folders
from inbox_env.lock import real_path
from inbox_env.search.folding import indexed_fields, words
from inbox_env.search.fts5 import CREATE_TABLE, table_name
from inbox_env.search.mails import SELECT_MESSAGE_IDS, fingerprint
from inbox_env.store import EmailStore, InboxInfo
from inbox_env.upkeep.leftovers import damaged_files, leftovers

SELECT_COUNTS = """SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0), coalesce(sum(sent_us IS NULL), 0)
    FROM mails WHERE inbox_id = ?"""
SELECT_NUM_UNDATED = "SELECT num_undated FROM inboxes WHERE id = ?"
COUNT_STRAYS = "SELECT count(*) FROM mails WHERE inbox_id NOT IN (SELECT id FROM inboxes)"
COUNT_LOST_ALIASES = "SELECT count(*) FROM aliases WHERE inbox_id = ? AND mail_id NOT IN (SELECT id FROM mails)"
COUNT_OUT_OF_ORDER = """SELECT count(*) FROM (
    SELECT sent_us, lag(sent_us) OVER (ORDER BY id) AS before FROM mails WHERE inbox_id = ?)
    WHERE before > coalesce(sent_us, -9223372036854775808)"""
COUNT_BAD_THREADS = """SELECT count(*) FROM mails WHERE inbox_id = ?
    AND (thread IS NULL OR thread < 1 OR {base} + thread > id)"""
SELECT_TABLE = "SELECT 1 FROM sqlite_master WHERE name = ?"
COUNT_INDEXED = "SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0) FROM {table}_docsize"
CHECK_INDEX = "INSERT INTO main.{table} ({table}) VALUES ('integrity-check')"
FIND_MAIL = "SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid = ?"
SELECT_MAIL = f"SELECT {MAIL_COLUMNS} FROM mails WHERE id = ?"
SELECT_MAILS = f"SELECT id, {MAIL_COLUMNS} FROM mails WHERE inbox_id = ? ORDER BY id"

_NUM_SAMPLED = {False: 10, True: 200}
_NUM_WORDS = 4


@dataclass(frozen=True, slots=True)
class Health:
    """What was found: `problems` are damage; `notes` are worth knowing; `num_emails` mails in `num_inboxes`."""

    num_inboxes: int
    num_emails: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def examine(path: Path, *, is_full: bool = False) -> Health:
    """Return the health of the mailbox file; raises UsageError or CorruptError when it cannot even be opened."""
    path = real_path(path)
    store = EmailStore.open(path)
    try:
        infos = store.inboxes()
    finally:
        store.close()
    notes = [f"an unfinished import lies in {folder.name}" for folder in staging_folders(path)]
    notes += [f"an unfinished rebuild or forgetting left {left.name}" for left in leftovers(path)]
    notes += [f"a rebuild kept {kept.name}, with all its mail: delete it when you can" for kept in damaged_files(path)]
    problems: list[str] = []
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            problems += _structure(connection, is_full)
            if not problems:
                for info in infos:
                    problems += [f"inbox {info.name}: {what}" for what in _inbox(connection, path, info, is_full)]
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        problems.append(f"unreadable: {cause(error)}")
    return Health(len(infos), sum(info.num_emails for info in infos), tuple(problems), tuple(notes))


def _structure(connection: sqlite3.Connection, is_full: bool) -> Iterator[str]:
    check = "PRAGMA integrity_check(5)" if is_full else "PRAGMA quick_check(5)"
    found = [str(row[0]) for row in connection.execute(check)]
    yield from (f"SQLite: {what}" for what in found if what != "ok")
    if found == ["ok"] and (num_strays := connection.execute(COUNT_STRAYS).fetchone()[0]):
        yield f"{num_strays} mails of no inbox"


def _inbox(connection: sqlite3.Connection, path: Path, info: InboxInfo, is_full: bool) -> Iterator[str]:
    base = info.id * MAX_EMAILS
    ids = (base + 1, base + info.num_emails) if info.num_emails else (0, 0)
    num_undated = connection.execute(SELECT_NUM_UNDATED, (info.id,)).fetchone()[0]
    counted = connection.execute(SELECT_COUNTS, (info.id,)).fetchone()
    if counted != (info.num_emails, *ids, num_undated):
        yield f"{counted[0]} mails are there, {info.num_emails} should be, numbered without gaps"
        return
    if connection.execute(COUNT_LOST_ALIASES, (info.id,)).fetchone()[0]:
        yield "ids of copies point to mails that are not there"
    if is_full:
        yield from _every_mail(connection, info)
    if info.index == "fts5":
        yield from _fts5(connection, path, info, is_full)
    else:
        yield from _whoosh(connection, path, info)


def _every_mail(connection: sqlite3.Connection, info: InboxInfo) -> Iterator[str]:
    if num := connection.execute(COUNT_OUT_OF_ORDER, (info.id,)).fetchone()[0]:
        yield f"{num} mails are not in the order of their dates"
    if num := connection.execute(COUNT_BAD_THREADS.format(base=info.id * MAX_EMAILS), (info.id,)).fetchone()[0]:
        yield f"{num} mails are in no thread"
    num_broken = 0
    with _odd_text_as_none(connection):
        for row in connection.execute(SELECT_MAILS, (info.id,)):
            try:
                from_row(row[1:])
            except CorruptError:
                num_broken += 1
    if num_broken:
        yield f"{num_broken} mails cannot be decoded"


@contextmanager
def _odd_text_as_none(connection: sqlite3.Connection) -> Iterator[None]:
    """Have text that is no UTF-8 read as None, which no mail has, so that the other mails are read too."""
    connection.text_factory = _text_or_none
    try:
        yield
    finally:
        connection.text_factory = str


def _text_or_none(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fts5(connection: sqlite3.Connection, path: Path, info: InboxInfo, is_full: bool) -> Iterator[str]:
    table = table_name(info.id)
    if connection.execute(SELECT_TABLE, (table,)).fetchone() is None:
        yield "the search index is missing"
        return
    expected = (info.num_emails, 1, info.num_emails) if info.num_emails else (0, 0, 0)
    has_sizes = connection.execute(SELECT_TABLE, (f"{table}_docsize",)).fetchone() is not None
    if has_sizes and connection.execute(COUNT_INDEXED.format(table=table)).fetchone() != expected:
        yield "the search index is of other mails"
        return
    if is_full:
        yield from _check_copy(path, table)
    if num := sum(not is_found for is_found in _sampled(connection, info, _NUM_SAMPLED[is_full])):
        yield f"the search index does not find {num} of the mails sampled"


def _check_copy(path: Path, table: str) -> Iterator[str]:
    """Let FTS5 check a copy of the index in a temporary file: it has to write, and the mailbox may be read-only."""
    with closing(sqlite3.connect("", isolation_level=None, uri=True)) as copy:
        try:
            copy.execute("ATTACH DATABASE ? AS mailbox", (read_only_uri(path),))
            copy.execute(CREATE_TABLE.format(table=table))
            for shadow in SHADOW_TABLES:
                copy.execute(f"DELETE FROM main.{table}_{shadow}")
                copy.execute(f"INSERT INTO main.{table}_{shadow} SELECT * FROM mailbox.{table}_{shadow}")
            copy.execute(CHECK_INDEX.format(table=table))
        except sqlite3.DatabaseError as error:
            yield f"the search index is damaged: {error}"


def _sampled(connection: sqlite3.Connection, info: InboxInfo, num_sampled: int) -> Iterator[bool]:
    """Whether the index finds mails, spread over the inbox, by their own first words."""
    for number in range(1, info.num_emails + 1, max(1, info.num_emails // num_sampled)):
        with _odd_text_as_none(connection):
            row = connection.execute(SELECT_MAIL, (info.id * MAX_EMAILS + number,)).fetchone()
        try:
            subject, _, body = indexed_fields(from_row(row))
        except CorruptError:  # the full look counts them
            yield False
            continue
        for field in (subject, body):
            if phrase := " ".join(words(field)[:_NUM_WORDS]):
                found = connection.execute(FIND_MAIL.format(table=table_name(info.id)), (f'"{phrase}"', number))
                yield found.fetchone() is not None


def _whoosh(connection: sqlite3.Connection, path: Path, info: InboxInfo) -> Iterator[str]:
    from inbox_env.search.manifest import verify_manifest

    (revision,) = connection.execute(SELECT_REVISION, (info.name,)).fetchone()
    ids = (row[0] for row in connection.execute(SELECT_MESSAGE_IDS, (info.id,)))
    try:
        verify_manifest(whoosh_directory(path, info.name, revision), fingerprint(ids))
    except CorruptError as error:
        yield error.what
