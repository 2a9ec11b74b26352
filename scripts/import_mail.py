"""Import mail from files into a mailbox.

Reads mbox files, Maildirs, folders of .eml or one-message files (Enron's layout), single .eml files, and .zip or
.tar.gz archives of these. Copies of one mail are folded into one. What cannot be read is listed in rejects.jsonl
beside the mailbox, and the exit code is then 3. Importing again into the same inbox adds what is new.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbox_env.emails import Address
from inbox_env.errors import ExitCode, UsageError
from inbox_env.importing import ImportSummary, Progress, import_mail
from inbox_env.ingest.addresses import parse_addresses
from scripts.terminal import console, safe_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="mbox, Maildir, folder, .eml, archive")
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file to write; created when absent")
    parser.add_argument("--inbox", required=True, help="name of the inbox inside the mailbox")
    parser.add_argument("--owner", help='whose inbox it is, as "Name <address>" (default: guessed from the mail)')
    parser.add_argument("--index", choices=("fts5", "whoosh"), default="fts5", help="search index (default: fts5)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Import, print a summary, and return 0, or 3 when something was rejected."""
    owner = _owner(args.owner) if args.owner else None
    with _progress() as progress:
        summary = import_mail(args.sources, args.mailbox, args.inbox, owner=owner, index=args.index, progress=progress)
    if args.json:
        print(json.dumps(_row(summary)))
    else:
        console().print(safe_line(_line(summary, args.inbox)))
    return ExitCode.REJECTS if summary.rejected else ExitCode.OK


def _owner(text: str) -> Address:
    addresses = parse_addresses(text)
    if len(addresses) != 1 or not addresses[0].email:
        raise UsageError(70, "--owner is not one address", where=text, next_step='write "Name <address>"')
    return addresses[0]


def _line(summary: ImportSummary, inbox: str) -> str:
    rejects = f"{summary.rejected:,} rejected"
    if summary.rejects_path is not None:
        rejects += f" (see {summary.rejects_path})"
    rate = summary.read / summary.seconds if summary.seconds else 0.0
    return (
        f"read {summary.read:,}: {summary.imported:,} imported, {summary.duplicates:,} duplicates, {rejects}; "
        f"{inbox} holds {summary.total:,} mails of {summary.owner or 'an unknown owner'}; "
        f"{summary.seconds:.1f} s, {rate:,.0f} mails/s"
    )


def _row(summary: ImportSummary) -> dict[str, str | int | float | None]:
    return {
        "read": summary.read,
        "imported": summary.imported,
        "duplicates": summary.duplicates,
        "rejected": summary.rejected,
        "total": summary.total,
        "owner": str(summary.owner),
        "seconds": round(summary.seconds, 3),
        "rejects_path": None if summary.rejects_path is None else str(summary.rejects_path),
    }


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Give a callback that draws a bar of bytes on standard error, or None when nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("importing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
