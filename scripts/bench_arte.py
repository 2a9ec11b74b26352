"""ART-E's search, as its description has it: one FTS5 table over all inboxes, and one statement.

The same mails go into its schema, and its statement's newest ten hits are given. Knows nothing of timing.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from inbox_env.search.base import SearchQuery
from scripts.bench_engines import NUM_HITS
from scripts.bench_mailbox import all_mails, ensure

SCHEMA = """
CREATE TABLE emails (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT UNIQUE, subject TEXT, from_address TEXT,
    date TEXT, body TEXT, file_name TEXT);
CREATE TABLE recipients (email_id INTEGER, recipient_address TEXT, recipient_type TEXT);
"""
INDEXES = """
CREATE INDEX idx_emails_from ON emails (from_address);
CREATE INDEX idx_emails_date ON emails (date);
CREATE INDEX idx_recipients_address ON recipients (recipient_address);
CREATE INDEX idx_recipients_type ON recipients (recipient_type);
CREATE INDEX idx_recipients_email_id ON recipients (email_id);
CREATE INDEX idx_recipients_address_email ON recipients (recipient_address, email_id);
CREATE VIRTUAL TABLE emails_fts USING fts5 (subject, body, content='emails', content_rowid='id');
INSERT INTO emails_fts (emails_fts) VALUES ('rebuild');
"""
INSERT_EMAIL = "INSERT INTO emails (message_id, subject, from_address, date, body) VALUES (?, ?, ?, ?, ?)"
INSERT_RECIPIENT = "INSERT INTO recipients VALUES (?, ?, ?)"
RECEIVED = """EXISTS (SELECT 1 FROM recipients r WHERE r.recipient_address = ? AND r.email_id = e.id)"""
SEARCH = """SELECT e.message_id, snippet(emails_fts, -1, '<b>', '</b>', ' ... ', 15) AS snippet
    FROM emails e JOIN emails_fts fts ON e.id = fts.rowid
    WHERE fts.emails_fts MATCH ? AND {conditions} ORDER BY e.date DESC LIMIT ?"""


class ArteEngine:
    """ART-E's tables and its one statement for a search."""

    def __init__(self, path: Path, owners: dict[str, str]) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._owners = owners

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return the newest hits."""
        conditions = [f"(e.from_address = ? OR {RECEIVED})"]
        values: list[str] = [self._owners[inbox]] * 2
        wanted = (
            ("e.from_address = ?", query.from_addr),
            (RECEIVED, query.to_addr),
            ("e.date >= ?", query.sent_after and query.sent_after.isoformat()),
            ("e.date < ?", query.sent_before and (query.sent_before + timedelta(days=1)).isoformat()),
        )
        for condition, value in wanted:
            if value is not None:
                conditions.append(condition)
                values.append(str(value))
        match = " ".join(f'"{keyword}"' for keyword in query.keywords)
        statement = SEARCH.format(conditions=" AND ".join(conditions))
        return tuple(row[0] for row in self._db.execute(statement, (match, *values, NUM_HITS)).fetchall())

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def build_arte(mailbox: Path, path: Path) -> Path:
    """Return ART-E's database of the same mails.

    Its inbox is an address: a mail that names the owner nowhere gets that address as a recipient.
    """

    def build(partial: Path) -> None:
        database = sqlite3.connect(partial, isolation_level=None)
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        for info, stored in all_mails(mailbox):
            email = stored.email
            sent = "" if email.date is None else f"{email.date:%Y-%m-%d %H:%M:%S}"
            row = (email.message_id, email.subject, email.sender.email, sent, email.body)
            number = database.execute(INSERT_EMAIL, row).lastrowid
            kinds = (("to", email.to), ("cc", email.cc), ("bcc", email.bcc))
            rows = [(number, person.email, kind) for kind, people in kinds for person in people]
            if info.owner.email not in {person.email for person in (email.sender, *email.recipients)}:
                rows.append((number, info.owner.email, "owner"))
            database.executemany(INSERT_RECIPIENT, rows)
        for statement in INDEXES.strip().split(";\n"):
            database.execute(statement)
        database.execute("COMMIT")
        database.close()

    return ensure(path, build)
