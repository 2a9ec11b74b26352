"""Removes an inbox from a mailbox file, and proves it: pieces of all its mails are looked for in the files' raw bytes.

Deleted pages are overwritten and the file is written anew. Knows nothing of what a disk keeps of files that are gone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
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
from inbox_env.upkeep.traces import PIECE_BYTES, found_in_files, found_in_texts

DELETE_SOURCES = "DELETE FROM sources WHERE inbox_id = ?"
DELETE_INBOX = "DELETE FROM inboxes WHERE id = ?"
# As bytes, and as they lie one after the other in a row: also what is too short by itself can then be looked for.
SELECT_ROWS = """SELECT CAST(message_id AS BLOB), CAST(sender_name || sender_email AS BLOB), CAST(subject AS BLOB),
    CAST(envelope AS BLOB), CAST(body AS BLOB) FROM mails WHERE id BETWEEN ? AND ?"""
SELECT_ALIAS_IDS = "SELECT CAST(message_id AS BLOB) FROM aliases WHERE inbox_id = ?"
SELECT_OTHERS = """SELECT CAST(message_id AS BLOB) FROM mails
    UNION ALL SELECT CAST(sender_name || sender_email || subject || envelope || body AS BLOB) FROM mails
    UNION ALL SELECT CAST(message_id AS BLOB) FROM aliases
    UNION ALL SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE sql IS NOT NULL
    UNION ALL SELECT CAST(place || coalesce(imap_state, '') AS BLOB) FROM sources
    UNION ALL SELECT CAST(name || owner_name || owner_email AS BLOB) FROM inboxes"""

MANY_MAILS = 50_000  # of so many, each is looked for in fewer places
_NUM_BEFORE = 1_000
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed, and the proof: of `num_traces` pieces of all its mails, `found_after` are left.

    `num_before` of them were looked for before, and `found_before` found: so they can be found. `num_elsewhere` stay
    because other inboxes hold the same. `num_short` Message-IDs were too short to be looked for by themselves, and of
    `num_unproved` mails nothing was long enough. `damaged_paths`: files that a rebuild kept and that hold
    `found_in_damaged` of the traces, or may hold some when there was nothing to look for; left to their owner.
    """

    inbox: str
    num_emails: int
    num_traces: int
    num_before: int
    found_before: int
    found_after: int
    num_elsewhere: int = 0
    num_short: int = 0
    num_unproved: int = 0
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
                traces = _Traces(connection, info)
                sample = set(islice(traces.pieces, 0, None, len(traces.pieces) // _NUM_BEFORE + 1))
                before = found_in_files(sample, _places(path))
                _delete(connection, info.id)
                _write_anew(connection, path)
                _remove_files(path, inbox)
                left = found_in_files(traces.pieces, _places(path))
                damaged = {kept: found_in_files(traces.pieces, [kept]) for kept in damaged_files(path)}
                others = _of_others(connection, left.union(*damaged.values()))
        except sqlite3.DatabaseError as error:
            raise write_error(error, path) from error
    remaining = len(left - others)
    if remaining:
        what = f"{remaining} of {len(traces.pieces)} traces of the inbox are still in the file"
        raise CorruptError(47, what, where=str(path), next_step="run mailsleuth doctor --rebuild")
    kept = tuple(str(place) for place, found in damaged.items() if found - others or traces.num_unproved)
    in_damaged = len(set[bytes]().union(*damaged.values()) - others)
    counts = (len(traces.pieces), len(sample), len(before), remaining, len(left), traces.num_short, traces.num_unproved)
    return Forgotten(inbox, info.num_emails, *counts, in_damaged, kept)


def _info(path: Path, inbox: str) -> InboxInfo:
    store = EmailStore.open(path)
    try:
        return store.info(inbox)
    finally:
        store.close()


class _Traces:
    """What is looked for of an inbox: pieces of every mail, and how much is too short for it."""

    def __init__(self, connection: sqlite3.Connection, info: InboxInfo) -> None:
        self.pieces: set[bytes] = set()
        self.num_short = self.num_unproved = 0
        is_large = info.num_emails > MANY_MAILS
        base = info.id * MAX_EMAILS
        for start in range(base + 1, base + info.num_emails + 1, _CHUNK):
            last = min(start + _CHUNK - 1, base + info.num_emails)
            for message_id, *texts in connection.execute(SELECT_ROWS, (start, last)):
                is_found = self._add_id(message_id) + self._add_row(texts, is_large=is_large)
                self.num_unproved += not is_found
        for (message_id,) in connection.execute(SELECT_ALIAS_IDS, (info.id,)):
            self._add_id(message_id)

    def _add_id(self, message_id: bytes) -> bool:
        self.num_short += len(message_id) < PIECE_BYTES
        return self._add(message_id, (0, len(message_id)))

    def _add_row(self, texts: list[bytes], *, is_large: bool) -> bool:
        """Add pieces of a row: of its subject, of what else its header held, and of its body."""
        people, subject, envelope, _ = map(len, texts)
        row = b"".join(texts)
        body = people + subject + envelope
        middle = (body + len(row)) // 2
        few = (people, middle)
        return self._add(
            row, few if is_large else (*few, people + subject, people + subject + envelope // 2, body, len(row))
        )

    def _add(self, text: bytes, places: Iterable[int]) -> bool:
        """Add the pieces that begin at these places, or end with the text."""
        if len(text) < PIECE_BYTES:
            return False
        starts = (min(place, len(text) - PIECE_BYTES) for place in places)
        self.pieces.update(text[start : start + PIECE_BYTES] for start in starts)
        return True


def _places(path: Path) -> list[Path]:
    """Return the files that hold the mailbox: itself, its journals, the indexes beside it and the list of rejects."""
    beside = [path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm", ".rejects.jsonl")]
    return [path, *beside, *path.with_name(path.name + ".whoosh").rglob("*")]


def _of_others(connection: sqlite3.Connection, found: set[bytes]) -> set[bytes]:
    """Return what other inboxes hold too, as it was sent or as it is indexed: that is no trace of this one."""
    held = found_in_texts(found, (row[0] for row in connection.execute(SELECT_OTHERS)))
    lower = {piece.lower() for piece in found - held}
    indexed = found_in_texts(lower, (row[0].lower() for row in connection.execute(SELECT_OTHERS)))
    return held | {piece for piece in found if piece.lower() in indexed}


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
