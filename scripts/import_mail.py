"""Import mail from files into a mailbox.

A SOURCE is one of these, and what it is, is found out; give as many as you like:
  mbox file of any dialect, a Gmail Takeout archive as downloaded (labels become folders)
  Maildir, MH folder, Thunderbird or Apple Mail folder, folder of .eml or one-message files (Enron's layout), .eml file
  .zip, .tar or .tar.gz of these; archive.tar.gz!inside reads only the folder "inside" of it
  emails.csv (Enron's, as published), or emails.csv!lay-k for one owner; the columns of ART-E's data set
  imaps://user@host or imaps://user@host/Folder: a mail server, only read (needs the extra imap). The password comes
  from the keyring, from MAILSLEUTH_IMAP_PASSWORD or from a prompt, never from the address.

Mail in Gmail's Spam and Trash, and mail that Thunderbird has deleted but not yet removed, is counted and left out
unless --include-spam. Copies of one mail are folded into one. What cannot be read is listed in NAME.rejects.jsonl
beside the mailbox NAME, and the exit code is then 3 (a mail cut for its size has a line there too, code too_large):
read = imported + duplicates + left out + rejected, where duplicates are mails read that are copies of others.
Importing again into the same inbox adds what is new; mails are numbered by date, so older mail shifts the numbers of
later mails. An import that was interrupted leaves the mailbox as it was; the same command again goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from inbox_env.emails import Address
from inbox_env.errors import ExitCode, UsageError
from inbox_env.importing.byte_meter import Progress
from inbox_env.importing.import_mail import ImportOptions, ImportSummary, import_mail
from inbox_env.ingest.addresses import parse_addresses
from inbox_env.ingest.records import MAX_MESSAGE_BYTES
from scripts.terminal import console, plural, safe_line

_STOPS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="file, folder, archive or imaps:// address; see above"
    )
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file to write; created when absent")
    parser.add_argument("--inbox", required=True, help="name of the inbox inside the mailbox; made when absent")
    parser.add_argument("--owner", help='whose inbox it is, as "Name <address>" (default: guessed from the mail)')
    parser.add_argument(
        "--index", choices=("fts5", "whoosh"), help="search index (default: the inbox's own; of a new one fts5)"
    )
    parser.add_argument(
        "--include-spam", action="store_true", help="import Gmail's Spam and Trash, and what Thunderbird deleted, too"
    )
    parser.add_argument(
        "--attachment-text", action="store_true", help="keep the text of attachments: search finds it, read shows it"
    )
    parser.add_argument(
        "--html", action="store_true", dest="keep_html", help="keep the HTML of mails for `mailsleuth play` to show"
    )
    parser.add_argument(
        *("--max-message-size",), type=_size, default=MAX_MESSAGE_BYTES, metavar="MB", dest="max_message_bytes",
        help="keep only the first text of a mail larger than this (default and most: 100)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="reading processes (default: 2 from 20 MB on)")
    parser.add_argument("--dry-run", action="store_true", help="read and count everything, write nothing")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Import, print a summary, and return 0, or 3 when something was rejected."""
    if args.workers is not None and args.workers < 1:
        raise UsageError(71, "--workers is less than 1", next_step="leave it out, or give 1 or 2")
    with _progress() as progress, _stop_on_signals() as stopped:
        options = ImportOptions(
            owner=parse_owner(args.owner) if args.owner else None,
            index=args.index,
            include_spam=args.include_spam,
            attachment_text=args.attachment_text,
            keep_html=args.keep_html,
            max_message_bytes=args.max_message_bytes,
            num_workers=args.workers,
            is_dry_run=args.dry_run,
            progress=progress,
            stopped=stopped,
        )
        summary = import_mail(args.sources, args.mailbox, args.inbox, options)
    if args.json:
        print(json.dumps(_row(summary)))
    else:
        console().print(safe_line(_line(summary, args.inbox, is_dry_run=args.dry_run)))
    return ExitCode.REJECTS if summary.rejected else ExitCode.OK


def parse_owner(text: str) -> Address:
    """Return the one address that `text` writes; raises UsageError."""
    addresses = parse_addresses(text)
    if len(addresses) != 1 or not addresses[0].email:
        raise UsageError(70, "--owner is not one address", where=text, next_step='write "Name <address>"')
    return addresses[0]


def _size(text: str) -> int:
    try:
        num_bytes = int(float(text) * 1_000_000)
    except (ValueError, OverflowError):
        num_bytes = 0
    if not 0 < num_bytes <= MAX_MESSAGE_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of megabytes from 0.001 to 100")
    return num_bytes


def _line(summary: ImportSummary, inbox: str, *, is_dry_run: bool) -> str:
    skipped = "".join(f"{count:,} left out ({reason}), " for reason, count in summary.skipped.items())
    rejects = f"{summary.rejected:,} rejected"
    rejects += f", {summary.cut:,} cut short" if summary.cut else ""
    if summary.rejects_path is not None:
        rejects += f" (see {summary.rejects_path})"
    rejects += f", {summary.unread:,} with attachments unread" if summary.unread else ""
    if summary.torn:
        rejects += f", {plural(summary.torn, 'file')} without a line break at the end (cut off in the last mail?)"
    rate = summary.read / summary.seconds if summary.seconds else 0.0
    holds = "would hold" if is_dry_run else "holds"
    if not summary.total:
        so = "would stay" if is_dry_run else "is"
        held = f"nothing was imported and {inbox} {so} empty"
    else:
        held = f"{inbox} {holds} {plural(summary.total, 'mail')} of {str(summary.owner) or 'an unknown owner'}"
    return (
        f"{'dry run: ' if is_dry_run else ''}read {summary.read:,}: {summary.imported:,} imported, "
        f"{plural(summary.duplicates, 'duplicate')}, {skipped}{rejects}; "
        f"{held}; {summary.seconds:.1f} s, {rate:,.0f} mails/s{' (resumed)' if summary.is_resumed else ''}"
    )


def _row(summary: ImportSummary) -> dict[str, object]:
    return {
        "read": summary.read,
        "imported": summary.imported,
        "duplicates": summary.duplicates,
        "skipped": summary.skipped,
        "rejected": summary.rejected,
        "total": summary.total,
        "owner": str(summary.owner),
        "seconds": round(summary.seconds, 3),
        "rejects_path": None if summary.rejects_path is None else str(summary.rejects_path),
        "is_resumed": summary.is_resumed,
        "cut": summary.cut,
        "unread": summary.unread,
        "torn": summary.torn,
    }


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], ExitCode | None]]:
    """Give what says whether to stop: the first interrupt finishes what is under way, the second leaves at once."""
    codes: list[ExitCode] = []

    def stop(signum: int, _frame: FrameType | None) -> None:
        if codes:
            raise SystemExit(codes[0])
        codes.append(_STOPS[signal.Signals(signum)])

    try:
        before = [signal.signal(number, stop) for number in _STOPS]
    except ValueError:  # not the main thread: signals are the caller's business
        yield lambda: None
        return
    try:
        yield lambda: codes[0] if codes else None
    finally:
        for number, handler in zip(_STOPS, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Give a callback that draws a bar of bytes on standard error, or None when nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(done: int, total: int) -> None:
            what = "indexing" if 0 < total <= done else "reading"
            bar.update(task, completed=done, total=total or None, description=what)

        yield show
