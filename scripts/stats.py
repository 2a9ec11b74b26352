"""Show the figures of the inboxes of a mailbox.

How many mails and threads, from when to when, who writes most, which folders, what is attached, and the space taken.
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
from scripts.terminal import console, safe_line


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
            f"{args.mailbox.name}: {len(names):,} inboxes, {_megabytes(args.mailbox.stat().st_size)} in all"
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
        ("mails", f"{stats.num_emails:,} in {stats.num_threads:,} threads; {stats.num_undated:,} undated"),
        ("dates", f"{day(stats.first_date)} to {day(stats.last_date)}"),
        ("copies", f"{stats.num_copies_folded:,} folded"),
        (
            "attached",
            f"{stats.num_attachments:,} files, {_megabytes(stats.attachment_bytes)} before they were left out",
        ),
        ("space", f"text {_megabytes(stats.text_chars)}, search index {_megabytes(stats.index_bytes)}"),
        ("senders", _counts(stats.top_senders)),
        ("exchange", _counts(stats.top_correspondents)),
        ("folders", _counts(stats.top_folders)),
    )
    for name, value in lines:
        out.print(f"{name:<9} {safe_line(value)}")
    out.print()


def _counts(pairs: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in pairs) or "none"


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1_000_000:,.1f} MB"
