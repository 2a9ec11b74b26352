"""Check that a mailbox is whole, or say whether to believe a training run.

A damaged mailbox can be made anew from the mail that can be read of it (--rebuild). One of an older version is
brought up to date first. Exit code 0: no damage found; 4: damaged; 3: rebuilt, with mails lost.
A run folder is only read. Exit code 0: nothing found but notes; 3: findings, listed; 4: a file of it is damaged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from inbox_env.errors import CorruptError, ExitCode, ResourceError, UsageError
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import is_current, migrate
from inbox_env.upkeep.doctor import Health, examine
from inbox_env.upkeep.leftovers import leftovers, remove_leftovers
from inbox_env.upkeep.rebuilding import Rebuilt, rebuild
from scripts.terminal import console, plural, safe_line

NUM_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="mailbox file, or run folder such as data/runs/laptop"
    )
    parser.add_argument("--mailbox", type=Path, help="the mailbox file, as with the other commands")
    parser.add_argument("--full", action="store_true", help="decode every mail and check every index entry")
    parser.add_argument("--rebuild", action="store_true", help="make the file anew from the mail stored in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object (of a run: one a line)")


def run(args: argparse.Namespace) -> int:
    """Check or rebuild, print what was found and return the exit code."""
    path = args.mailbox or args.path
    if path is None:
        raise UsageError(91, "no mailbox and no run named", next_step="mailsleuth doctor PATH")
    if path.is_dir():
        return _examine_run(path, args)
    is_migrated = False
    if not is_current(path):
        with mailbox_lock(path):
            is_migrated = migrate(path)
    removed = _clean_up(path)
    rebuilt = rebuild(path) if args.rebuild else None
    health = examine(path, is_full=args.full)
    health = replace(
        health, notes=(*(f"removed what a killed command left: {name}" for name in removed), *health.notes)
    )
    if args.json:
        print(json.dumps({**_row(health, rebuilt, is_migrated), "is_full": args.full}))
    else:
        _print(health, rebuilt, is_migrated, is_full=args.full)
    if health.problems:
        next_step = f"mailsleuth doctor --rebuild {path}"
        raise CorruptError(48, f"the mailbox is damaged: {len(health.problems)} found", next_step=next_step)
    return ExitCode.REJECTS if rebuilt is not None and rebuilt.num_lost else ExitCode.OK


def _clean_up(path: Path) -> list[str]:
    """Remove what killed writers left and return the names.

    While another one is at work, or where nothing may be written, it stays.
    """
    path = real_path(path)
    if leftovers(path):
        with suppress(ResourceError, OSError), mailbox_lock(path):
            return remove_leftovers(path)
    return []


def _examine_run(path: Path, args: argparse.Namespace) -> int:
    if args.full or args.rebuild:
        raise UsageError(94, "a run is examined as a whole, and never rebuilt", where=str(path))
    from scripts.doctor_run import report_run  # loads torch

    return report_run(path, as_json=args.json)


def _row(health: Health, rebuilt: Rebuilt | None, is_migrated: bool) -> dict[str, object]:
    return {
        "inboxes": health.num_inboxes,
        "mails": health.num_emails,
        "problems": list(health.problems),
        "notes": list(health.notes),
        "is_migrated": is_migrated,
        "num_lost": None if rebuilt is None else rebuilt.num_lost,
        "num_mended": None if rebuilt is None else rebuilt.num_mended,
        "lost": [] if rebuilt is None else [asdict(mail) for mail in rebuilt.lost],
        "recovered": [] if rebuilt is None else rebuilt.recovered,
        "damaged_path": None if rebuilt is None or rebuilt.damaged_path is None else str(rebuilt.damaged_path),
    }


def _print(health: Health, rebuilt: Rebuilt | None, is_migrated: bool, *, is_full: bool) -> None:
    out = console()
    if is_migrated:
        out.print("brought up to date with this version")
    for line in _rebuilt_lines(rebuilt) if rebuilt is not None else ():
        out.print(safe_line(line))
    for line in (*health.notes, *health.problems):
        out.print(safe_line(line))
    if not health.problems:
        found = "whole" if is_full else "no damage found by the quick check (--full reads every mail)"
        out.print(f"{found}: {plural(health.num_emails, 'mail')} in {plural(health.num_inboxes, 'inbox', 'inboxes')}")


def _rebuilt_lines(rebuilt: Rebuilt) -> Iterator[str]:
    kept = f"; the damaged file is {rebuilt.damaged_path.name}" if rebuilt.damaged_path else ""
    mended = f" ({rebuilt.num_mended:,} mended)" if rebuilt.num_mended else ""
    yield f"rebuilt: {plural(rebuilt.num_emails, 'mail')} kept{mended}, {rebuilt.num_lost:,} lost{kept}"
    for name in rebuilt.recovered:
        yield f"mails of no inbox are now in the inbox {name}"
    for mail in rebuilt.lost[:NUM_SHOWN]:
        yield f"lost: {mail.inbox} {mail.number}: {mail.message_id or 'unknown id'} {mail.subject}".rstrip()
    if rebuilt.num_lost > NUM_SHOWN:
        yield f"and {rebuilt.num_lost - NUM_SHOWN:,} more lost (--json lists up to 1,000 of an inbox)"
