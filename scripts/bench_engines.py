"""The search engines that are compared: each answers a query with the Message-IDs of its first page, newest first.

ART-E's schema and SQL are re-created from their description; tantivy has one index per inbox. Every engine also
makes the snippets of its hits. Knows nothing of timing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol

from inbox_env.actions import ToolCall
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import Order, SearchQuery
from inbox_env.store import EmailStore, StoredEmail, build_inbox
from inbox_env.tools import Toolbox
from scripts.bench_mailbox import ensure

NUM_HITS = 10
ARTE_SCHEMA = """
CREATE TABLE emails (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT UNIQUE, subject TEXT, from_address TEXT,
    date TEXT, body TEXT, file_name TEXT);
CREATE TABLE recipients (email_id INTEGER, recipient_address TEXT, recipient_type TEXT);
"""
ARTE_INDEXES = """
CREATE INDEX idx_emails_from ON emails (from_address);
CREATE INDEX idx_emails_date ON emails (date);
CREATE INDEX idx_recipients_address ON recipients (recipient_address);
CREATE INDEX idx_recipients_type ON recipients (recipient_type);
CREATE INDEX idx_recipients_email_id ON recipients (email_id);
CREATE INDEX idx_recipients_address_email ON recipients (recipient_address, email_id);
CREATE VIRTUAL TABLE emails_fts USING fts5 (subject, body, content='emails', content_rowid='id');
INSERT INTO emails_fts (emails_fts) VALUES ('rebuild');
"""
ARTE_INSERT_EMAIL = "INSERT INTO emails (message_id, subject, from_address, date, body) VALUES (?, ?, ?, ?, ?)"
ARTE_INSERT_RECIPIENT = "INSERT INTO recipients VALUES (?, ?, ?)"
ARTE_RECEIVED = """EXISTS (SELECT 1 FROM recipients r WHERE r.recipient_address = ? AND r.email_id = e.id)"""
ARTE_SEARCH = """SELECT e.message_id, snippet(emails_fts, -1, '<b>', '</b>', ' ... ', 15) AS snippet
    FROM emails e JOIN emails_fts fts ON e.id = fts.rowid
    WHERE fts.emails_fts MATCH ? AND {conditions} ORDER BY e.date DESC LIMIT ?"""


class Engine(Protocol):
    """Something that searches."""

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return the Message-IDs of at most `NUM_HITS` hits."""
        ...

    def close(self) -> None:
        """Give up files."""
        ...


class OwnEngine:
    """A mailbox of this project, whichever index its inboxes have."""

    def __init__(self, mailbox: Path, order: Order) -> None:
        self._store = EmailStore.open(mailbox)
        self._inboxes: dict[str, Inbox] = {}
        self._order = order

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return the hits of the index."""
        found = self._inbox(inbox).search(_in_order(query, self._order), as_of=None, limit=NUM_HITS)
        return tuple(hit.message_id for hit in found.hits)

    def close(self) -> None:
        """Close the mailbox."""
        self._store.close()

    def _inbox(self, name: str) -> Inbox:
        if name not in self._inboxes:
            self._inboxes[name] = Inbox(self._store, name)
        return self._inboxes[name]


class ToolEngine(OwnEngine):
    """The tool that a policy calls, from arguments to text."""

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return what the tool lists."""
        arguments = {
            "keywords": list(query.keywords),
            "from_addr": query.from_addr,
            "to_addr": query.to_addr,
            "sent_after": query.sent_after and query.sent_after.isoformat(),
            "sent_before": query.sent_before and query.sent_before.isoformat(),
            "order": self._order,
        }
        result = Toolbox(self._inbox(inbox), None, ResultStyle()).execute(ToolCall("search_emails", arguments))
        return getattr(result, "listed", ())


class ArteEngine:
    """ART-E's tables and its one statement for a search."""

    def __init__(self, path: Path, owners: dict[str, str]) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._owners = owners

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return the newest hits."""
        conditions = [f"(e.from_address = ? OR {ARTE_RECEIVED})"]
        values: list[str] = [self._owners[inbox]] * 2
        wanted = (
            ("e.from_address = ?", query.from_addr),
            (ARTE_RECEIVED, query.to_addr),
            ("e.date >= ?", query.sent_after and query.sent_after.isoformat()),
            ("e.date < ?", query.sent_before and (query.sent_before + timedelta(days=1)).isoformat()),
        )
        for condition, value in wanted:
            if value is not None:
                conditions.append(condition)
                values.append(str(value))
        match = " ".join(f'"{keyword}"' for keyword in query.keywords)
        statement = ARTE_SEARCH.format(conditions=" AND ".join(conditions))
        return tuple(row[0] for row in self._db.execute(statement, (match, *values, NUM_HITS)).fetchall())

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class TantivyEngine:
    """One tantivy index per inbox, with a fast field to sort by and its own snippets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[Any, Any]] = {}

    def search(self, inbox: str, query: SearchQuery) -> tuple[str, ...]:
        """Return the newest hits."""
        import tantivy

        if inbox not in self._open:
            index = tantivy.Index.open(str(self._folder / inbox))
            self._open[inbox] = index, index.searcher()
        index, searcher = self._open[inbox]
        built = _tantivy_query(index.schema, query)
        found = searcher.search(built, NUM_HITS, order_by_field="sent", order=tantivy.Order.Desc)
        snippets = tantivy.SnippetGenerator.create(searcher, built, index.schema, "body")
        snippets.set_max_num_chars(160)
        hits = []
        for _, address in found.hits:
            document = searcher.doc(address)
            snippet = snippets.snippet_from_doc(document).fragment()
            hits.append((*(document.get_first(name) for name in ("message_id", "from", "sent", "subject")), snippet))
        return tuple(hit[0] for hit in hits)

    def close(self) -> None:
        """Forget the indexes."""
        self._open.clear()


def build_arte(mailbox: Path, path: Path) -> Path:
    """Return ART-E's database of the same mails."""

    def build(partial: Path) -> None:
        database = sqlite3.connect(partial, isolation_level=None)
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in ARTE_SCHEMA.split(";"):
            database.execute(statement)
        for _, stored in _all_mails(mailbox):
            email = stored.email
            sent = "" if email.date is None else f"{email.date:%Y-%m-%d %H:%M:%S}"
            row = (email.message_id, email.subject, email.sender.email, sent, email.body)
            number = database.execute(ARTE_INSERT_EMAIL, row).lastrowid
            kinds = (("to", email.to), ("cc", email.cc), ("bcc", email.bcc))
            rows = [(number, person.email, kind) for kind, people in kinds for person in people]
            database.executemany(ARTE_INSERT_RECIPIENT, rows)
        for statement in ARTE_INDEXES.strip().split(";\n"):
            database.execute(statement)
        database.execute("COMMIT")
        database.close()

    return ensure(path, build)


def build_tantivy(mailbox: Path, folder: Path) -> Path:
    """Return the folder of tantivy's indexes of the same mails."""
    import tantivy

    def build(partial: Path) -> None:
        schema = tantivy.SchemaBuilder().add_text_field("subject", stored=True).add_text_field("body", stored=True)
        for name in ("message_id", "from", "to"):
            schema = schema.add_text_field(name, stored=name != "to", tokenizer_name="raw")
        schema = schema.add_integer_field("sent", stored=True, indexed=True, fast=True).build()
        inbox = ""
        writer: Any = None
        for name, stored in _all_mails(mailbox):
            if name != inbox:
                _finish(writer)
                (partial / name).mkdir(parents=True)
                inbox = name
                writer = tantivy.Index(schema, str(partial / name)).writer(64_000_000, 1)
            email = stored.email
            document = tantivy.Document(message_id=email.message_id, subject=email.subject, body=email.body)
            document.add_text("from", email.sender.email)
            for person in email.recipients:
                document.add_text("to", person.email)
            document.add_integer("sent", int(email.date.timestamp()) if email.date else 0)
            writer.add_document(document)
        _finish(writer)

    return ensure(folder, build)


def build_whoosh_mailbox(mailbox: Path, inboxes: list[str], folder: Path) -> Path:
    """Return a mailbox of these inboxes with Whoosh indexes, in a folder of its own."""

    def build(partial: Path) -> None:
        partial.mkdir()
        store = EmailStore.open(mailbox)
        for name in inboxes:
            mails = (stored.email for stored in store.emails(name))
            build_inbox(partial / "mails.db", name, mails, owner=store.info(name).owner, index="whoosh")
        store.close()

    return ensure(folder, build) / "mails.db"


def _finish(writer: Any) -> None:
    if writer is not None:
        writer.commit()
        writer.wait_merging_threads()


def _all_mails(mailbox: Path) -> Iterator[tuple[str, StoredEmail]]:
    store = EmailStore.open(mailbox)
    for info in store.inboxes():
        for stored in store.emails(info.name):
            yield info.name, stored
    store.close()


def _tantivy_query(schema: Any, query: SearchQuery) -> Any:
    import tantivy

    must: list[Any] = []
    for keyword in query.keywords:
        tokens = keyword.lower().split()
        either = [
            tantivy.Query.term_query(schema, field, tokens[0])
            if len(tokens) == 1
            else tantivy.Query.phrase_query(schema, field, list(tokens))
            for field in ("subject", "body")
        ]
        must.append(tantivy.Query.boolean_query([(tantivy.Occur.Should, one) for one in either]))
    for field, value in (("from", query.from_addr), ("to", query.to_addr)):
        if value is not None:
            must.append(tantivy.Query.term_query(schema, field, value))
    if query.sent_after is not None or query.sent_before is not None:
        first = datetime.combine(query.sent_after or datetime.min.date(), time.min, UTC)
        last = datetime.combine(query.sent_before or datetime.max.date(), time.max, UTC)
        kind = tantivy.FieldType.Integer
        bounds = (int(first.timestamp()), int(last.timestamp()))
        must.append(tantivy.Query.range_query(schema, "sent", kind, *bounds))
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, one) for one in must])


def _in_order(query: SearchQuery, order: Order) -> SearchQuery:
    return query if query.order == order else replace(query, order=order)
