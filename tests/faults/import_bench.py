"""A mailbox in a temporary folder with mail to import into it, for the tests of what may go wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from inbox_env.emails import Email
from inbox_env.importing.import_mail import ImportSummary, import_mail
from inbox_env.store import EmailStore
from scripts.cli import main

LINE = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"
PLAIN = (
    b"From: ann@x.org\nTo: bob@y.org\nSubject: s%d\nMessage-ID: <%d@x.org>\n"
    b"Date: Mon, 20 Nov 2000 06:27:00 GMT\n\nbody %d\n"
)


def plain(number: int = 1) -> bytes:
    return PLAIN % (number, number, number)


def box(*messages: bytes) -> bytes:
    return b"".join(LINE + message + b"\n" for message in messages)


class Bench:
    """One mailbox in a temporary folder, and what an import into it gave."""

    def __init__(self, folder: Path) -> None:
        self.source, self.mailbox = folder / "source", folder / "my.db"
        self.source.mkdir()

    def put(self, name: str, data: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(self, *paths: Path) -> ImportSummary:
        summary = import_mail(paths or [self.source], self.mailbox, "me")
        assert summary.read == summary.imported + summary.duplicates + summary.rejected + sum(summary.skipped.values())
        rows = self.rejects()
        assert sum(row["code"] == "unread" for row in rows) == summary.rejected
        assert (summary.rejects_path is not None) == bool(rows)
        return summary

    def rejects(self) -> list[dict[str, object]]:
        path = self.mailbox.parent / "my.db.rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def emails(self) -> list[Email]:
        store = EmailStore.open(self.mailbox)
        try:
            return [stored.email for stored in store.emails("me")]
        finally:
            store.close()


def child(bench: Bench, prepare: Callable[[], object], *options: str) -> tuple[int, str]:
    """Import in a forked process; return its exit code (negative: the signal that ended it) and its standard error."""
    errors = bench.mailbox.parent / "stderr"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            sys.stdout = sys.stderr = os.fdopen(descriptor, "w")
            prepare()
            code = main(["import", str(bench.source), "--mailbox", str(bench.mailbox), "--inbox", "me", *options])
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    text = errors.read_text()
    errors.unlink()
    return status, text


def dump(mailbox: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that a mailbox holds, every word of its search indexes included."""
    EmailStore.open(mailbox).close()  # undoes what a killed writer left half written
    with closing(sqlite3.connect(mailbox)) as connection:
        found = {
            "mails": connection.execute("SELECT * FROM mails ORDER BY id").fetchall(),
            "aliases": connection.execute("SELECT * FROM aliases ORDER BY inbox_id, message_id").fetchall(),
            "inboxes": connection.execute(
                "SELECT id, name, owner_name, owner_email, search_index, num_emails, num_undated FROM inboxes"
            ).fetchall(),
        }
        for (inbox_id,) in connection.execute("SELECT id FROM inboxes").fetchall():
            connection.execute(f"CREATE VIRTUAL TABLE temp.v USING fts5vocab(main, search_{inbox_id}, instance)")
            found[f"words {inbox_id}"] = connection.execute("SELECT * FROM temp.v ORDER BY 1, 2, 3, 4").fetchall()
            connection.execute("DROP TABLE temp.v")
    return found
