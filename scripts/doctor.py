"""Check that a mailbox is whole, and rebuild it when it is not.

A file of an older version is brought up to date first. Exit code 0: whole; 4: damaged; 3: rebuilt, with mails lost.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from inbox_env.errors import CorruptError, ExitCode, UsageError
from inbox_env.lock import mailbox_lock
from inbox_env.migrations import is_current, migrate
from inbox_env.upkeep.doctor import Health, examine
from inbox_env.upkeep.rebuilding import Rebuilt, rebuild
from scripts.terminal import console, safe_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="MAILBOX", help="mailbox file made by `mailsleuth import`"
    )
    parser.add_argument("--mailbox", type=Path, help="the same, as with the other commands")
    parser.add_argument("--full", action="store_true", help="decode every mail and check every index entry")
    parser.add_argument("--rebuild", action="store_true", help="make the file anew from the mail stored in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Check or rebuild, print what was found and return the exit code."""
    path = args.mailbox or args.path
    if path is None:
        raise UsageError(91, "no mailbox named", next_step="mailsleuth doctor MAILBOX")
    if not path.is_file():
        raise UsageError(30, "no such mailbox file", where=str(path), next_step="make one with `mailsleuth import`")
    is_migrated = False
    if not is_current(path):
        with mailbox_lock(path):
            is_migrated = migrate(path)
    rebuilt = rebuild(path) if args.rebuild else None
    health = examine(path, is_full=args.full)
    if args.json:
        print(json.dumps(_row(health, rebuilt, is_migrated)))
    else:
        _print(health, rebuilt, is_migrated)
    if health.problems:
        next_step = f"mailsleuth doctor --rebuild {path}"
        raise CorruptError(48, "the mailbox is damaged: " + safe_line(health.problems[0], 120), next_step=next_step)
    return ExitCode.REJECTS if rebuilt is not None and rebuilt.num_lost else ExitCode.OK


def _row(health: Health, rebuilt: Rebuilt | None, is_migrated: bool) -> dict[str, object]:
    return {
        "inboxes": health.num_inboxes,
        "mails": health.num_emails,
        "problems": list(health.problems),
        "notes": list(health.notes),
        "is_migrated": is_migrated,
        "num_lost": None if rebuilt is None else rebuilt.num_lost,
        "damaged_path": None if rebuilt is None or rebuilt.damaged_path is None else str(rebuilt.damaged_path),
    }


def _print(health: Health, rebuilt: Rebuilt | None, is_migrated: bool) -> None:
    out = console()
    if is_migrated:
        out.print("brought up to date with this version")
    if rebuilt is not None:
        kept = f"; the damaged file is {rebuilt.damaged_path.name}" if rebuilt.damaged_path else ""
        out.print(safe_line(f"rebuilt: {rebuilt.num_emails:,} mails kept, {rebuilt.num_lost:,} lost{kept}"))
    for line in (*health.notes, *health.problems):
        out.print(safe_line(line))
    if not health.problems:
        out.print(f"whole: {health.num_emails:,} mails in {health.num_inboxes:,} inboxes")
