"""Turns raw mails into rows of a private file, a batch at a time: the work of an import that can be shared out.

Each reading process writes a file of its own. Knows nothing of where mails come from or where the rows go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from inbox_env.database import to_microseconds
from inbox_env.email_rows import from_row, to_json, to_row
from inbox_env.emails import Email
from inbox_env.ingest.owner import OwnerCounts, OwnerGuess
from inbox_env.ingest.parse import parse_email
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES, TOO_LARGE, RawMail, Reject, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, is_mail
from inbox_env.search.folding import indexed_fields

CREATE_HEADS = """CREATE TABLE IF NOT EXISTS heads (
    seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL, key BLOB NOT NULL, message_id TEXT NOT NULL, sent_us INTEGER,
    folders TEXT NOT NULL, aliases TEXT NOT NULL, links TEXT NOT NULL)"""
CREATE_TEXTS = """CREATE TABLE IF NOT EXISTS texts (
    seq INTEGER PRIMARY KEY, sender_name TEXT NOT NULL, sender_email TEXT NOT NULL, subject TEXT NOT NULL,
    envelope TEXT NOT NULL, subject_words TEXT, who_words TEXT NOT NULL, body TEXT NOT NULL, body_words TEXT)"""
DELETE_HEADS = "DELETE FROM heads WHERE seq >= ? AND seq < ? AND batch = ?"
INSERT_HEAD = "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_TEXT = "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

COPY_GAP_US = 12 * 3_600 * 1_000_000  # copies of one mail are up to a time zone apart
KEY_BYTES = 16
StoredRow = tuple[Any, ...]  # the values of MAIL_COLUMNS
_MAX_SEEN = 500_000  # keys remembered, about 100 bytes each
_FAST = (
    "PRAGMA page_size = 16384",
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = TRUNCATE",
)  # Staging knows when it can be trusted


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How raw mails are read."""

    attachment_text: bool = False
    keep_html: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class Work:
    """Mails to read, each with its place in the import; the batch owns the places `first_seq` up to `end_seq`."""

    batch: int
    first_seq: int
    end_seq: int
    mails: tuple[tuple[int, RawMail | StoredRow], ...]


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What became of a batch: rows in the file, or rejects; mails that were cut have both."""

    num_mails: int
    rejects: tuple[tuple[int, Reject], ...]
    owner_counts: OwnerCounts


class RowFile:
    """The file of rows of one reading process."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._parse = partial(parse_email, attachment_text=options.attachment_text, keep_html=options.keep_html)
        self._max_bytes = options.max_message_bytes
        self._seen: set[bytes] = set()
        self._bare: set[bytes] | None = set() if options.attachment_text else None  # keys of mails that lack text
        for statement in (*_FAST, CREATE_HEADS, CREATE_TEXTS):
            self._connection.execute(statement)

    def read(self, work: Work) -> WorkDone:
        """Read the mails of one batch and commit their rows, in place of any rows it left before."""
        guess, rejects = OwnerGuess(), []
        emails: list[tuple[int, Email]] = []
        for seq, item in work.mails:
            email = self._parsed(item) if isinstance(item, RawMail) else from_row(item)
            if isinstance(email, Reject):
                rejects.append((seq, email))
            else:
                guess.add(email)
                emails.append((seq, email))
                if isinstance(item, RawMail) and TOO_LARGE in email.defects:
                    rejects.append((seq, _cut(item)))
        keyed = [(seq, email, bytes.fromhex(email.content_key())[:KEY_BYTES]) for seq, email in emails]
        self._write(work, keyed)
        if len(self._seen) < _MAX_SEEN:
            self._seen.update(_text_key(email, key) for _, email, key in keyed)
        return WorkDone(len(emails), tuple(rejects), guess.counts())

    def keep(self, batch: int, emails: Iterable[tuple[int, Email]]) -> int:
        """Commit the rows of (place, mail) pairs that are kept whatever they hold; return how many."""
        kept = list(emails)
        first, end = (kept[0][0], kept[-1][0] + 1) if kept else (0, 0)
        keyed = ((seq, email, seq.to_bytes(8, "big")) for seq, email in kept)
        self._write(Work(batch, first, end, ()), keyed)
        return len(kept)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _write(self, work: Work, emails: Iterable[tuple[int, Email, bytes]]) -> None:
        heads, texts, seen = [], [], set[bytes]()
        for seq, email, key in emails:
            row = to_row(email)
            heads.append(_head(seq, work.batch, key, email, row))
            text_key = _text_key(email, key)
            is_copy = text_key in self._seen or text_key in seen  # of an earlier mail: it is never the one that is kept
            if self._lends_text(key, email) or not is_copy:
                texts.append(_text(seq, email, row))
                seen.add(text_key)
        self._connection.execute("BEGIN")
        try:
            self._connection.execute(DELETE_HEADS, (work.first_seq, work.end_seq, work.batch))
            self._connection.executemany(INSERT_HEAD, heads)
            self._connection.executemany(INSERT_TEXT, texts)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _lends_text(self, key: bytes, email: Email) -> bool:
        """Whether a mail has the text of attachments that the first of its copies lacks; remembers which lack it."""
        if self._bare is None or not email.attachments:
            return False
        if not any(attachment.text for attachment in email.attachments):
            self._bare.add(key)
            return False
        was_bare = key in self._bare
        self._bare.discard(key)
        return was_bare

    def _parsed(self, item: RawMail) -> Email | Reject:
        raw, defects = item.raw, item.defects
        if len(raw) > self._max_bytes:
            raw, defects = raw[: min(self._max_bytes, KEPT_OF_TOO_LARGE)], (*defects, TOO_LARGE)
        if not is_mail(raw[:SNIFF_BYTES]):
            return Reject(path=item.path, offset=item.offset, reason="no mail header", sha256=digest(item.raw))
        try:
            email = self._parse(raw, folder=item.folder, fallback_date=item.envelope_date)
        except Exception as error:  # one broken mail must not stop the others: it is listed, with its bytes' hash
            reason = f"unreadable message: {type(error).__name__}"
            return Reject(path=item.path, offset=item.offset, reason=reason, sha256=digest(item.raw))
        if not item.labels and not defects:
            return email
        folders = tuple(dict.fromkeys((*email.folders, *item.labels)))
        return replace(email, folders=folders, defects=(*defects, *email.defects))


def _cut(item: RawMail) -> Reject:
    """The line that says which mail was cut; its hash where all of it was read."""
    sha256 = "" if TOO_LARGE in item.defects else digest(item.raw)
    reason = "too large: only its headers and first text were imported"
    return Reject(path=item.path, offset=item.offset, reason=reason, sha256=sha256, code=TOO_LARGE)


def _text_key(email: Email, key: bytes) -> bytes:
    """What an earlier mail had too is never kept: the same content within the time in which copies lie."""
    return key if email.date is None else key + b"%d" % (to_microseconds(email.date) // COPY_GAP_US)


def _head(seq: int, batch: int, key: bytes, email: Email, row: StoredRow) -> StoredRow:
    people = [email.sender.email, *(person.email for person in email.recipients)]
    links = to_json([email.in_reply_to, email.references, people])
    return (seq, batch, key, row[0], row[1], to_json(email.folders), to_json(email.aliases), links)


def _text(seq: int, email: Email, row: StoredRow) -> StoredRow:
    _, _, name, address, subject, envelope, body = row
    subject_words, who_words, body_words = indexed_fields(email)
    can_be_made = body.isascii() and body_words == body.lower()  # by SQLite, when it is needed
    return (
        *(seq, name, address, subject, envelope),
        *(None if subject_words == subject else subject_words, who_words),
        *(body, None if can_be_made else body_words),
    )
