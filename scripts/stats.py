"""Show the figures of the inboxes of a mailbox.

How many mails and threads, from when to when, who writes most, which folders, what is attached, and the space taken.
"copies" counts the mails read that are copies of others (the "duplicates" of the imports, however often a file was
imported), and the further Message-IDs that some of them had.
"contacts" is who wrote to the owner or got mail from the owner. Attachments are counted as they were in the mail:
the mailbox keeps their names, and their text where the import was asked for it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inbox_env.store import EmailStore
from inbox_env.upkeep.mail_stats import InboxStats, inbox_stats
from scripts.mail_view import day
from scripts.terminal import console, plural, safe_line, size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--inbox", help="only this inbox (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print the figures and return the exit code."""
    store = EmailStore.open(args.mailbox)
    try:
        names = [args.inbox] if args.inbox else [info.name for info in store.inboxes()]
        for name in names:
            stats = inbox_stats(store, name)
            if args.json:
                print(json.dumps(_row(stats)))
            else:
                _print(stats)
    finally:
        store.close()
    if not args.json:
        console().print(
            safe_line(
                f"{args.mailbox.name}: {plural(len(names), 'inbox', 'inboxes')}, "
                f"{size_text(args.mailbox.stat().st_size)} in all"
            )
        )
    return 0


def _row(stats: InboxStats) -> dict[str, Any]:
    dates = {name: None if date is None else date.isoformat() for name, date in _dates(stats).items()}
    return {**asdict(stats), **dates}


def _dates(stats: InboxStats) -> dict[str, Any]:
    return {"first_date": stats.first_date, "last_date": stats.last_date}


def _print(stats: InboxStats) -> None:
    out = console()
    lines = (
        ("inbox", stats.inbox),
        ("owner", stats.owner or "unknown: set it with mailsleuth inboxes --set-owner"),
        (
            "mails",
            f"{stats.num_emails:,} in {plural(stats.num_threads, 'thread')}; {stats.num_undated:,} undated"
            + (f"; {stats.num_cut:,} cut short for their size" if stats.num_cut else ""),
        ),
        ("dates", f"{day(stats.first_date)} to {day(stats.last_date)}"),
        ("copies", _folded(stats)),
        ("attached", f"{plural(stats.num_attachments, 'file')}, {size_text(stats.attachment_bytes)} in the mail"),
        ("space", f"text {size_text(stats.text_chars)}, search index {size_text(stats.index_bytes)}"),
        ("senders", _counts(stats.top_senders)),
        ("contacts", _counts(stats.top_correspondents)),
        ("folders", _counts(stats.top_folders)),
    )
    for name, value in lines:
        out.print(f"{name:<9} {safe_line(value)}")
    out.print()


def _folded(stats: InboxStats) -> str:
    ids = plural(stats.num_folded_ids, "further Message-ID")
    if stats.num_copies is None:
        return f"{ids}, of copies folded into a mail"
    return f"{stats.num_copies:,} folded into other mails" + (f", with {ids}" if stats.num_folded_ids else "")


def _counts(pairs: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in pairs) or "none"
