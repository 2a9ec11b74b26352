"""Merges the rows that the reading processes left: folds copies into one mail, numbers mails by date, finds threads.

All on disk, in a file of its own: memory stays bounded whatever the number of mails, save for the thread finder's
arrays. Knows nothing of the mailbox that the mails go to.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from inbox_env.email_rows import to_json
from inbox_env.staging import CONTROL_NAME, row_files
from inbox_env.threads import ThreadFinder

CREATE_HEADS = """CREATE TABLE heads (
    seq INTEGER PRIMARY KEY, file INTEGER NOT NULL, key BLOB NOT NULL, message_id TEXT NOT NULL, sent_us INTEGER,
    folders TEXT NOT NULL, aliases TEXT NOT NULL, links TEXT NOT NULL)"""
INSERT_HEADS = """INSERT INTO heads SELECT head.seq, {file}, key, message_id, sent_us, folders, aliases, links
    FROM rows{file}.heads AS head JOIN control.batches AS done ON done.batch = head.batch WHERE done.file = {file}"""
INDEX_HEADS = "CREATE INDEX heads_by_key ON heads (key, seq)"
CREATE_KEPT = """CREATE TABLE kept (
    seq INTEGER PRIMARY KEY, file INTEGER NOT NULL, message_id TEXT NOT NULL, sent_us INTEGER, aliases TEXT NOT NULL,
    copies INTEGER NOT NULL, envelope TEXT)"""
INSERT_KEPT = """INSERT INTO kept SELECT seq, file, message_id, sent_us, aliases, copies, NULL
    FROM (SELECT min(seq) AS seq, count(*) AS copies FROM heads GROUP BY key) JOIN heads USING (seq) ORDER BY seq"""
SELECT_COPIES = """SELECT kept.seq, kept.file, first.message_id, first.folders, first.aliases,
    copy.message_id, copy.folders, copy.aliases
    FROM kept JOIN heads AS first ON first.seq = kept.seq JOIN heads AS copy ON copy.key = first.key
    WHERE kept.copies > 1 AND copy.seq > kept.seq ORDER BY kept.seq, copy.seq"""
SELECT_ENVELOPE = "SELECT envelope FROM rows{file}.texts WHERE seq = ?"
UPDATE_KEPT = "UPDATE kept SET envelope = ?, aliases = ? WHERE seq = ?"
INDEX_KEPT = "CREATE INDEX kept_by_message_id ON kept (message_id)"
CREATE_TWINS = """CREATE TABLE twins (
    seq INTEGER PRIMARY KEY, message_id TEXT NOT NULL, sent_us INTEGER, body TEXT NOT NULL, subject TEXT NOT NULL)"""
DELETE_TWINS = "DELETE FROM twins"
INSERT_TWINS = """INSERT INTO twins SELECT kept.seq, message_id, sent_us, body, subject
    FROM kept JOIN rows{file}.texts AS text ON text.seq = kept.seq WHERE kept.file = {file}
    AND message_id IN (SELECT message_id FROM kept GROUP BY message_id HAVING count(*) > 1)"""
SUFFIX_TWINS = """UPDATE kept SET message_id = kept.message_id || '#' || twin.place FROM (
    SELECT seq, row_number() OVER (PARTITION BY message_id ORDER BY sent_us, body, subject, seq) AS place FROM twins
    ) AS twin WHERE kept.seq = twin.seq AND twin.place > 1"""
CREATE_RANKS = """CREATE TABLE ranks (
    rank INTEGER PRIMARY KEY, seq INTEGER NOT NULL, file INTEGER NOT NULL, thread INTEGER)"""
INSERT_RANKS = "INSERT INTO ranks (seq, file) SELECT seq, file FROM kept ORDER BY sent_us, message_id"
SELECT_LINKS = """SELECT kept.message_id, kept.aliases, kept.sent_us, head.links, {subject} FROM ranks
    JOIN kept ON kept.seq = ranks.seq JOIN heads AS head ON head.seq = ranks.seq {joins} ORDER BY rank"""
UPDATE_THREAD = "UPDATE ranks SET thread = ? WHERE rank = ?"
COUNT_KEPT = "SELECT count(*), coalesce(sum(seq >= ?), 0) FROM kept"

MERGED_NAME = "merged.db"
_FAST = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -32768")
_OPCODES = 100_000


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: mails in all, those from place `first_new` on, and whether any older one gained something."""

    num_mails: int
    num_new: int
    has_changed: bool


def merge_rows(folder: Path, first_new: int, is_stopped: Callable[[], bool]) -> Merged:
    """Merge the rows in `folder` into a new file there; places below `first_new` were in the inbox before.

    Raises sqlite3.OperationalError when stopped or out of room.
    """
    path = folder / MERGED_NAME
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in _FAST:
            connection.execute(statement)
        attach_rows(connection, folder)
        connection.set_progress_handler(is_stopped, _OPCODES)
        connection.execute("BEGIN")
        num_files = len(row_files(folder))
        _gather(connection, num_files)
        has_changed = _fold_copies(connection, first_new)
        _separate_twins(connection, num_files)
        _rank(connection, num_files)
        num_mails, num_new = connection.execute(COUNT_KEPT, (first_new,)).fetchone()
        connection.execute("COMMIT")
    return Merged(num_mails, num_new, has_changed)


def attach_rows(connection: sqlite3.Connection, folder: Path) -> None:
    """Attach what the batches and the files of rows are as `control`, `rows0`, `rows1` ..."""
    connection.execute("ATTACH DATABASE ? AS control", (str(folder / CONTROL_NAME),))
    for number, path in enumerate(row_files(folder)):
        connection.execute(f"ATTACH DATABASE ? AS rows{number}", (str(path),))


def _gather(connection: sqlite3.Connection, num_files: int) -> None:
    connection.execute(CREATE_HEADS)
    for file in range(num_files):
        connection.execute(INSERT_HEADS.format(file=file))
    for statement in (INDEX_HEADS, CREATE_KEPT, INSERT_KEPT):
        connection.execute(statement)


def _fold_copies(connection: sqlite3.Connection, first_new: int) -> bool:
    """Add the folders and Message-IDs of copies to the mails kept; return whether an older mail changed by that."""
    has_changed = False
    updates = list[tuple[str, str, int]]()
    copies = connection.execute(SELECT_COPIES)
    for (seq, file, message_id, folders, aliases), group in groupby(copies, key=lambda row: row[:5]):
        first = (message_id, json.loads(folders), json.loads(aliases))
        merged = _merged(first, [(row[5], json.loads(row[6]), json.loads(row[7])) for row in group])
        if merged == first[1:]:
            continue
        has_changed = has_changed or seq < first_new
        envelope = json.loads(connection.execute(SELECT_ENVELOPE.format(file=file), (seq,)).fetchone()[0])
        envelope |= {"folders": merged[0], "aliases": merged[1]}
        envelope = {key: value for key, value in envelope.items() if value}
        updates.append((to_json(envelope), to_json(merged[1]), seq))
        if len(updates) >= 1_000:
            connection.executemany(UPDATE_KEPT, updates)
            updates.clear()
    connection.executemany(UPDATE_KEPT, updates)
    return has_changed


def _merged(
    first: tuple[str, list[str], list[str]], copies: list[tuple[str, list[str], list[str]]]
) -> tuple[list[str], list[str]]:
    message_id, folders, aliases = first
    for copy_id, copy_folders, copy_aliases in copies:
        folders = [*folders, *copy_folders]
        aliases = [*aliases, copy_id, *copy_aliases]
    others = dict.fromkeys(alias for alias in aliases if alias != message_id)
    return list(dict.fromkeys(folders)), list(others)


def _separate_twins(connection: sqlite3.Connection, num_files: int) -> None:
    """Give mails that share a Message-ID suffixes in the order of their content, whatever order they came in."""
    connection.execute(INDEX_KEPT)
    connection.execute(CREATE_TWINS)
    while True:  # a suffixed id may be another mail's own
        connection.execute(DELETE_TWINS)
        for file in range(num_files):
            connection.execute(INSERT_TWINS.format(file=file))
        if not connection.execute(SUFFIX_TWINS).rowcount:
            return


def _rank(connection: sqlite3.Connection, num_files: int) -> None:
    connection.execute(CREATE_RANKS)
    connection.execute(INSERT_RANKS)
    finder = ThreadFinder()
    for message_id, aliases, sent_us, links, subject in _links(connection, num_files):
        replied, references, people = json.loads(links)
        also = json.loads(aliases) if aliases != "[]" else ()
        finder.add(message_id, replied, references, subject, people, sent_us, also)
    threads = ((place + 1, rank) for rank, place in enumerate(finder.threads(), 1))
    connection.executemany(UPDATE_THREAD, threads)


def _links(connection: sqlite3.Connection, num_files: int) -> Iterator[tuple[str, str, int | None, str, str]]:
    joins, subject = text_joins(num_files), text_choice(num_files, "subject")
    return connection.execute(SELECT_LINKS.format(joins=joins, subject=subject))


def text_joins(num_files: int) -> str:
    """Return the joins that put the texts of every mail beside its row in `ranks`, from whichever file has them."""
    return " ".join(
        f"LEFT JOIN rows{file}.texts AS text{file} ON ranks.file = {file} AND text{file}.seq = ranks.seq"
        for file in range(num_files)
    )


def text_choice(num_files: int, expression: str) -> str:
    """Return an expression over the columns of `texts`, such as "body", taken from the file that has the row.

    Columns are written as {t}.column when the expression is more than a column's name.
    """
    pattern = expression if "{t}" in expression else f"{{t}}.{expression}"
    cases = " ".join(f"WHEN {file} THEN {pattern.format(t=f'text{file}')}" for file in range(num_files))
    return f"CASE ranks.file {cases} END"
