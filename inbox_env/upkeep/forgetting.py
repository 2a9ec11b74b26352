"""Removes an inbox from a mailbox file, and proves it: pieces of its mails are looked for in the file's raw bytes.

Deleted pages are overwritten and the file is written anew. Knows nothing of what a disk keeps of files that are gone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from inbox_env.database import MAX_EMAILS
from inbox_env.errors import CorruptError
from inbox_env.importing.building import DELETE_ALIASES, DELETE_MAILS, remove_whoosh, write_error
from inbox_env.importing.rejects import replace_rejects
from inbox_env.importing.staging import staging_folder
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import migrate
from inbox_env.search.fts5 import drop_fts5
from inbox_env.store import EmailStore, InboxInfo
from inbox_env.upkeep.leftovers import damaged_files, remove_leftovers

DELETE_SOURCES = "DELETE FROM sources WHERE inbox_id = ?"
DELETE_INBOX = "DELETE FROM inboxes WHERE id = ?"
SELECT_SAMPLE = "SELECT message_id, subject, body FROM mails WHERE id = ?"
IS_IN_ANOTHER = """SELECT 1 FROM mails WHERE instr(message_id, :piece) OR instr(lower(subject), lower(:piece))
    OR instr(lower(body), lower(:piece)) OR instr(lower(envelope), lower(:piece)) OR instr(sender_name, :piece)
    OR instr(sender_email, :piece)
    UNION ALL SELECT 1 FROM sqlite_master WHERE instr(sql, :piece)
    UNION ALL SELECT 1 FROM sources WHERE instr(place, :piece) OR instr(imap_state, :piece)
    UNION ALL SELECT 1 FROM inboxes WHERE instr(name, :piece) OR instr(owner_name, :piece)
        OR instr(owner_email, :piece) LIMIT 1"""

NUM_SAMPLED = 40
_PIECE_CHARS = 24  # short: a page boundary seldom cuts through it
_PIECE_BYTES = 8  # at least: shorter ones are anywhere
_CHUNK_BYTES = 1 << 23


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, and the proof: of `num_traces` pieces sampled, how many the raw bytes held before and after.

    `damaged_paths`: files that a rebuild kept and that hold `found_in_damaged` of the traces, or may hold some when
    there was nothing to look for. They are left to their owner.
    """

    inbox: str
    num_emails: int
    num_traces: int
    found_before: int
    found_after: int
    found_in_damaged: int = 0
    damaged_paths: tuple[str, ...] = ()


def forget(path: Path, inbox: str) -> Forgotten:
    """Remove the inbox with everything that belongs to it; raises CorruptError when a trace of it remains."""
    path = real_path(path)
    with mailbox_lock(path):
        migrate(path)
        info = _info(path, inbox)
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.text_factory = lambda data: data.decode("utf-8", "replace")
                traces = _traces(connection, info)
                before = _found(path, traces)
                _delete(connection, info.id)
                _write_anew(connection, path)
                after = _foreign(connection, _found(path, traces))
                damaged = {kept: _foreign(connection, _found(kept, traces)) for kept in damaged_files(path)}
        except sqlite3.DatabaseError as error:
            raise write_error(error, path) from error
        _remove_files(path, inbox)
    if after:
        what = f"{len(after)} of {len(traces)} traces of the inbox are still in the file"
        raise CorruptError(47, what, where=str(path), next_step="run mailsleuth doctor --rebuild")
    kept = tuple(str(place) for place, found in damaged.items() if found or not traces)
    in_damaged = len(set().union(*damaged.values()))
    return Forgotten(inbox, info.num_emails, len(traces), len(before), len(after), in_damaged, kept)


def _info(path: Path, inbox: str) -> InboxInfo:
    store = EmailStore.open(path)
    try:
        return store.info(inbox)
    finally:
        store.close()


def _traces(connection: sqlite3.Connection, info: InboxInfo) -> list[str]:
    """Return pieces of mails spread over the inbox: ids, subjects and pieces of text."""
    step = max(1, info.num_emails // NUM_SAMPLED)
    pieces: dict[str, None] = {}
    for number in range(1, info.num_emails + 1, step):
        row = connection.execute(SELECT_SAMPLE, (info.id * MAX_EMAILS + number,)).fetchone()
        for text in _pieces(row or ()):
            pieces[text] = None
    return list(pieces)


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        middle = len(text) // 2
        for piece in (text[:_PIECE_CHARS], text[middle : middle + _PIECE_CHARS]):
            if len(piece.strip().encode()) >= _PIECE_BYTES and not {"\0", "\ufffd"} & set(piece):
                yield piece


def _found(path: Path, traces: list[str]) -> list[str]:
    """Return which of the traces are somewhere in the bytes of the file or of a journal beside it."""
    waiting = {trace: trace.encode() for trace in traces}
    for place in (path, *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))):
        with suppress(FileNotFoundError), place.open("rb") as file:
            tail = b""
            while chunk := file.read(_CHUNK_BYTES):
                window = tail + chunk
                waiting = {trace: piece for trace, piece in waiting.items() if piece not in window}
                tail = chunk[-4 * _PIECE_CHARS :]
    return [trace for trace in traces if trace not in waiting]


def _foreign(connection: sqlite3.Connection, found: list[str]) -> list[str]:
    """Leave out what another inbox holds too: that is no trace of this one."""
    return [trace for trace in found if connection.execute(IS_IN_ANOTHER, {"piece": trace}).fetchone() is None]


def _delete(connection: sqlite3.Connection, inbox_id: int) -> None:
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    drop_fts5(connection, inbox_id)
    for statement in (DELETE_ALIASES, DELETE_MAILS, DELETE_SOURCES, DELETE_INBOX):
        connection.execute(statement, (inbox_id,))
    connection.execute("COMMIT")


def _write_anew(connection: sqlite3.Connection, path: Path) -> None:
    """Replace the file by one without free pages; whoever has it open keeps the old one whole, never a shorter one."""
    fresh = path.with_name(f"{path.name}.fresh")
    fresh.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(fresh),))
        shutil.copymode(path, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _remove_files(path: Path, inbox: str) -> None:
    """Remove the search index beside, an unfinished import, what is listed as rejected and what killed writers left."""
    remove_whoosh(path, inbox)
    shutil.rmtree(staging_folder(path, inbox), ignore_errors=True)
    remove_leftovers(path)
    replace_rejects(path, inbox)
