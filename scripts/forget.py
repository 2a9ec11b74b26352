"""Delete an inbox from a mailbox, and prove that nothing of it remains in the file.

Its mails, search index, unfinished import and the list of rejects go; pieces of every mail (Message-ID, subject,
header, three of the body) are then looked for in the bytes of the file, its journals and the indexes beside it. Of an
inbox with more than 50,000 mails it is two pieces and the Message-ID. What is too short is counted. Copies elsewhere
(backups, runs that were trained on it) are not touched; when one is known, the damaged file that `doctor --rebuild`
kept, it is named and the exit code is 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from inbox_env.errors import ExitCode, UsageError
from inbox_env.upkeep.forgetting import Forgotten, forget
from scripts.terminal import console, plural, safe_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--inbox", required=True, help="name of the inbox to delete")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask, delete, print the proof and return the exit code."""
    if not args.yes and not _is_sure(args.inbox):
        raise UsageError(90, "nothing was deleted", next_step="confirm with --yes, or by the inbox's name when asked")
    gone = forget(args.mailbox, args.inbox)
    if args.json:
        print(json.dumps(asdict(gone)))
    else:
        console().print(safe_line(f"forgot {gone.inbox}: {plural(gone.num_emails, 'mail')}; {_proof(gone)}"))
        for path in gone.damaged_paths:
            console().print(safe_line(f"a copy that a rebuild kept still holds mail of it: delete it yourself: {path}"))
    return ExitCode.REJECTS if gone.damaged_paths else ExitCode.OK


def _proof(gone: Forgotten) -> str:
    """Say what was looked for, and what could not be."""
    proof = f"{gone.found_after:,} of {gone.num_traces:,} traces found "
    proof += f"(before: {gone.found_before:,} of the {gone.num_before:,} looked for)"
    if gone.num_elsewhere:
        proof += f"; {gone.num_elsewhere:,} more stand in other inboxes as well"
    if gone.num_short:
        proof += f"; {plural(gone.num_short, 'Message-ID')} too short to be looked for without the mail"
    if gone.num_unproved:
        proof += f"; nothing in {plural(gone.num_unproved, 'mail')} was long enough to be looked for"
    return proof


def _is_sure(inbox: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"Delete the inbox {safe_line(inbox)} for good? Type its name: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == inbox
