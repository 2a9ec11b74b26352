"""The search engines that are compared: each answers a query with the Message-IDs of its first page, newest first.

Here are this project's own (with either index, and as the tool that a policy calls) and tantivy with one index per
inbox; ART-E is in `bench_arte`. Every engine also makes the snippets of its hits. Knows nothing of timing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Protocol

from inbox_env.actions import ToolCall
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import Order, SearchQuery
from inbox_env.store import EmailStore, build_inbox
from inbox_env.tools import Toolbox
from scripts.bench_mailbox import all_mails, ensure

NUM_HITS = 10


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
        for info, stored in all_mails(mailbox):
            if info.name != inbox:
                _finish(writer)
                inbox = info.name
                (partial / inbox).mkdir(parents=True)
                writer = tantivy.Index(schema, str(partial / inbox)).writer(64_000_000, 1)
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
