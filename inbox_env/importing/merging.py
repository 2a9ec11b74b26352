"""Merges the rows that the reading processes left: folds copies into one mail, numbers mails by date, finds threads.

All on disk, in a file of its own: memory stays bounded whatever the number of mails, save for the thread finder's
arrays. Knows nothing of the mailbox that the mails go to.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from inbox_env.email_rows import to_json
from inbox_env.importing.row_files import CONTROL_NAME, GAINED_NAME, MERGED_NAME, attach, text_choice, text_joins
from inbox_env.importing.staged_rows import COPY_GAP_US
from inbox_env.threads import ThreadFinder

CREATE_HEADS = """CREATE TABLE heads (
    seq INTEGER PRIMARY KEY, file INTEGER NOT NULL, key BLOB NOT NULL, message_id TEXT NOT NULL, sent_us INTEGER,
    folders TEXT NOT NULL, aliases TEXT NOT NULL, links TEXT NOT NULL)"""
INSERT_HEADS = """INSERT INTO heads SELECT head.seq, {file}, key, message_id, sent_us, folders, aliases, links
    FROM rows{file}.heads AS head JOIN control.batches AS done ON done.batch = head.batch WHERE done.file = {file}"""
INDEX_HEADS = "CREATE INDEX heads_by_key ON heads (key, seq)"
# The same words a day later are another mail (a reminder, a report): each run of copies gets a key of its own.
SEPARATE_DAYS = """UPDATE heads SET key = CAST(key || run.place AS BLOB) FROM (
    SELECT seq, sum(is_new) OVER (PARTITION BY key ORDER BY sent_us, seq) AS place FROM (
        SELECT seq, key, sent_us,
            coalesce(sent_us - lag(sent_us) OVER (PARTITION BY key ORDER BY sent_us, seq) > :gap_us, 0) AS is_new
        FROM heads WHERE key IN (SELECT key FROM heads GROUP BY key HAVING max(sent_us) - min(sent_us) > :gap_us))
    ) AS run WHERE heads.seq = run.seq AND run.place > 0"""
CREATE_KEPT = """CREATE TABLE kept (
    seq INTEGER PRIMARY KEY, file INTEGER NOT NULL, message_id TEXT NOT NULL, sent_us INTEGER,
    copies INTEGER NOT NULL)"""
INSERT_KEPT = """INSERT INTO kept SELECT seq, file, message_id, sent_us, copies
    FROM (SELECT min(seq) AS seq, count(*) AS copies FROM heads GROUP BY key) JOIN heads USING (seq) ORDER BY seq"""
SELECT_COPIES = """SELECT kept.seq, kept.file, first.message_id, first.folders, first.aliases,
    copy.message_id, copy.folders, copy.aliases
    FROM merged.kept JOIN merged.heads AS first ON first.seq = kept.seq
    JOIN merged.heads AS copy ON copy.key = first.key
    WHERE kept.copies > 1 AND copy.seq > kept.seq ORDER BY kept.seq, copy.seq"""
SELECT_ENVELOPE = "SELECT envelope FROM rows{file}.texts WHERE seq = ?"
CREATE_GAINS = "CREATE TABLE gains (seq INTEGER PRIMARY KEY, envelope TEXT NOT NULL, aliases TEXT NOT NULL)"
INSERT_GAIN = "INSERT INTO gains (envelope, aliases, seq) VALUES (?, ?, ?)"
CREATE_THREADS = "CREATE TABLE threads (rank INTEGER PRIMARY KEY, thread INTEGER NOT NULL)"
INSERT_THREAD = "INSERT INTO threads (thread, rank) VALUES (?, ?)"
INDEX_KEPT = "CREATE INDEX kept_by_message_id ON kept (message_id)"
CREATE_TWINS = """CREATE TABLE twins (
    seq INTEGER PRIMARY KEY, message_id TEXT NOT NULL, sent_us INTEGER, body TEXT NOT NULL, subject TEXT NOT NULL)"""
INSERT_TWINS = """INSERT INTO twins SELECT kept.seq, message_id, sent_us, body, subject
    FROM kept JOIN rows{file}.texts AS text ON text.seq = kept.seq WHERE kept.file = {file}
    AND message_id IN (SELECT message_id FROM kept GROUP BY message_id HAVING count(*) > 1)"""
SELECT_TWINS = "SELECT message_id, seq FROM twins ORDER BY message_id, seq >= ?, sent_us, body, subject, seq"
IS_TAKEN = "SELECT 1 FROM kept WHERE message_id = ?"
UPDATE_ID = "UPDATE kept SET message_id = ? WHERE seq = ?"
CREATE_RANKS = "CREATE TABLE ranks (rank INTEGER PRIMARY KEY, seq INTEGER NOT NULL, file INTEGER NOT NULL)"
INSERT_RANKS = "INSERT INTO ranks (seq, file) SELECT seq, file FROM kept ORDER BY sent_us, message_id"
SELECT_LINKS = """SELECT kept.message_id, coalesce(gains.aliases, head.aliases), kept.sent_us, head.links, {subject}
    FROM merged.ranks JOIN merged.kept ON kept.seq = ranks.seq JOIN merged.heads AS head ON head.seq = ranks.seq
    LEFT JOIN gains ON gains.seq = ranks.seq {joins} ORDER BY rank"""
SELECT_LENT = """SELECT kept.seq, text.envelope, lent.envelope, lent.body_words
    FROM kept JOIN rows{file}.texts AS text ON text.seq = kept.seq
    JOIN heads AS copy ON copy.key = (SELECT key FROM heads WHERE seq = kept.seq) AND copy.seq > kept.seq
    JOIN rows{other}.texts AS lent ON lent.seq = copy.seq
    WHERE kept.file = {file} AND kept.copies > 1 AND copy.file = {other}
    AND instr(lent.envelope, '"text":') AND instr(text.envelope, '"attachments":')
    AND NOT instr(text.envelope, '"text":') ORDER BY kept.seq, copy.seq"""
CREATE_GAINED = "CREATE TABLE IF NOT EXISTS rows{file}.gained_text (seq INTEGER PRIMARY KEY)"
INSERT_GAINED = "INSERT OR IGNORE INTO rows{file}.gained_text (seq) VALUES (?)"
COUNT_GAINED = "SELECT count(*) FROM rows{file}.gained_text WHERE seq < ?"
LEND_TEXT = "UPDATE rows{file}.texts SET envelope = ?, body_words = ? WHERE seq = ?"
COUNT_DEFECTS = """SELECT coalesce(sum(instr(defects, '"too_large"') > 0), 0),
    coalesce(sum(instr(defects, '"attachment_unread"') > 0), 0),
    coalesce(sum(instr(defects, '"no_final_newline"') > 0), 0) FROM (
    SELECT json_extract(envelope, '$.defects') AS defects FROM kept JOIN rows{file}.texts AS text USING (seq)
    WHERE kept.file = {file} AND kept.seq >= ? AND instr(envelope, '"defects":'))"""
COUNT_KEPT = "SELECT count(*), coalesce(sum(seq >= ?), 0) FROM kept"

_FAST = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -32768")
_OPCODES = 100_000


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged: mails in all, and from place `first_new` on; of those cut ones, and with unread attachments.

    `num_torn` end their file without a line break. `num_gained` earlier mails gained attached text from copies.
    """

    num_mails: int
    num_new: int
    num_cut: int = 0
    num_unread: int = 0
    num_gained: int = 0
    num_torn: int = 0


def merge_rows(folder: Path, first_new: int, is_stopped: Callable[[], bool]) -> Merged:
    """Choose which mails are kept and number them, in a new file in `folder`.

    Places below `first_new` were in the inbox before. Raises sqlite3.OperationalError when stopped or out of room.
    """
    with _new_file(folder, MERGED_NAME, is_stopped) as connection:
        num_files = attach(connection, folder, CONTROL_NAME)
        connection.execute("BEGIN")
        _gather(connection, num_files)
        _separate_twins(connection, num_files, first_new)
        for statement in (CREATE_RANKS, INSERT_RANKS):
            connection.execute(statement)
        num_gained = _lend_attached_text(connection, num_files, first_new)
        defects = [
            connection.execute(COUNT_DEFECTS.format(file=file), (first_new,)).fetchone() for file in range(num_files)
        ]
        num_mails, num_new = connection.execute(COUNT_KEPT, (first_new,)).fetchone()
        connection.execute("COMMIT")
    num_cut, num_unread, num_torn = (sum(row[place] for row in defects) for place in range(3))
    return Merged(num_mails, num_new, num_cut, num_unread, num_gained, num_torn)


def join_copies_and_threads(folder: Path, first_new: int, is_stopped: Callable[[], bool]) -> bool:
    """Find what mails gain from their copies, and threads; return whether a mail before `first_new` gained anything.

    Writes to a file of its own, so that the index can be filled meanwhile from what `merge_rows` left.
    """
    with _new_file(folder, GAINED_NAME, is_stopped) as connection:
        num_files = attach(connection, folder, MERGED_NAME)
        connection.execute("BEGIN")
        has_changed = _fold_copies(connection, first_new)
        _find_threads(connection, num_files)
        connection.execute("COMMIT")
    return has_changed


@contextmanager
def _new_file(folder: Path, name: str, is_stopped: Callable[[], bool]) -> Iterator[sqlite3.Connection]:
    (folder / name).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / name, isolation_level=None)) as connection:
        for statement in _FAST:
            connection.execute(statement)
        connection.set_progress_handler(is_stopped, _OPCODES)
        yield connection


def _gather(connection: sqlite3.Connection, num_files: int) -> None:
    connection.execute(CREATE_HEADS)
    for file in range(num_files):
        connection.execute(INSERT_HEADS.format(file=file))
    connection.execute(INDEX_HEADS)
    connection.execute(SEPARATE_DAYS, {"gap_us": COPY_GAP_US})
    for statement in (CREATE_KEPT, INSERT_KEPT):
        connection.execute(statement)


def _lend_attached_text(connection: sqlite3.Connection, num_files: int, first_new: int) -> int:
    """Give kept mails the text of their attachments when only a copy has it; return how many earlier ones gained.

    The rows themselves change, as the index is filled from them. Done again it changes nothing and counts the same.
    """
    for file in range(num_files):
        connection.execute(CREATE_GAINED.format(file=file))
        for other in range(num_files):
            rows = connection.execute(SELECT_LENT.format(file=file, other=other)).fetchall()
            for seq, group in groupby(rows, key=lambda row: row[0]):
                _, own, lent, body_words = next(group)
                envelope = json.loads(own) | {"attachments": json.loads(lent)["attachments"]}
                connection.execute(LEND_TEXT.format(file=file), (to_json(envelope), body_words, seq))
                connection.execute(INSERT_GAINED.format(file=file), (seq,))
    counts = (connection.execute(COUNT_GAINED.format(file=file), (first_new,)) for file in range(num_files))
    return sum(int(count.fetchone()[0]) for count in counts)


def _fold_copies(connection: sqlite3.Connection, first_new: int) -> bool:
    """Add the folders and Message-IDs of copies to the mails kept; return whether an older mail changed by that."""
    has_changed = False
    updates: list[tuple[str, str, int]] = []
    connection.execute(CREATE_GAINS)
    copies = connection.execute(SELECT_COPIES)
    for (seq, file, message_id, folders, aliases), group in groupby(copies, key=lambda row: row[:5]):
        first = (message_id, _read_list(folders), _read_list(aliases))
        merged = _merged(first, [(row[5], _read_list(row[6]), _read_list(row[7])) for row in group])
        if merged == first[1:]:
            continue
        has_changed = has_changed or seq < first_new
        envelope = json.loads(connection.execute(SELECT_ENVELOPE.format(file=file), (seq,)).fetchone()[0])
        envelope |= {"folders": merged[0], "aliases": merged[1]}
        envelope = {key: value for key, value in envelope.items() if value}
        updates.append((to_json(envelope), to_json(merged[1]), seq))
        if len(updates) >= 1_000:
            connection.executemany(INSERT_GAIN, updates)
            updates.clear()
    connection.executemany(INSERT_GAIN, updates)
    return has_changed


def _read_list(text: str) -> list[str]:
    names: list[str] = [] if text == "[]" else json.loads(text)  # most are empty
    return names


def _merged(
    first: tuple[str, list[str], list[str]], copies: list[tuple[str, list[str], list[str]]]
) -> tuple[list[str], list[str]]:
    message_id, folders, aliases = first
    for copy_id, copy_folders, copy_aliases in copies:
        folders = [*folders, *copy_folders]
        aliases = [*aliases, copy_id, *copy_aliases]
    others = dict.fromkeys(alias for alias in aliases if alias != message_id)
    return list(dict.fromkeys(folders)), list(others)


def _separate_twins(connection: sqlite3.Connection, num_files: int, first_new: int) -> None:
    """Give mails that share a Message-ID suffixes in the order of their content, whatever order they came in.

    A mail that was in the inbox before keeps the id by which it is known.
    """
    connection.execute(INDEX_KEPT)
    connection.execute(CREATE_TWINS)
    for file in range(num_files):
        connection.execute(INSERT_TWINS.format(file=file))
    known, place = None, 0
    for message_id, seq in connection.execute(SELECT_TWINS, (first_new,)):
        if message_id != known:
            known, place = message_id, 1
            continue
        place += 1
        while connection.execute(IS_TAKEN, (f"{message_id}#{place}",)).fetchone():  # as another mail's own
            place += 1
        connection.execute(UPDATE_ID, (f"{message_id}#{place}", seq))


def _find_threads(connection: sqlite3.Connection, num_files: int) -> None:
    finder = ThreadFinder()
    for message_id, aliases, sent_us, links, subject in _links(connection, num_files):
        replied, references, people = json.loads(links)
        finder.add(message_id, replied, references, subject, people, sent_us, _read_list(aliases))
    connection.execute(CREATE_THREADS)
    connection.executemany(INSERT_THREAD, ((place + 1, rank) for rank, place in enumerate(finder.threads(), 1)))


def _links(connection: sqlite3.Connection, num_files: int) -> Iterator[tuple[str, str, int | None, str, str]]:
    joins, subject = text_joins(num_files), text_choice(num_files, "subject")
    return connection.execute(SELECT_LINKS.format(joins=joins, subject=subject))
