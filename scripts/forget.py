"""Delete an inbox from a mailbox, and prove that nothing of it remains in the file.

Its mails, search index, unfinished import and the list of rejects go; pieces of its mails are then looked for in the
file's bytes. Copies elsewhere (backups, runs that were trained on it) are not touched; when one is
known, the damaged file that `doctor --rebuild` kept, it is named and the exit code is 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from inbox_env.errors import ExitCode, UsageError
from inbox_env.upkeep.forgetting import forget
from scripts.terminal import console, safe_line


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
        proof = f"{gone.found_after} of {gone.num_traces} traces found (before: {gone.found_before})"
        if not gone.num_traces:
            proof = "nothing in it was long enough to be looked for"
        console().print(safe_line(f"forgot {gone.inbox}: {gone.num_emails:,} mails; {proof}"))
        for path in gone.damaged_paths:
            console().print(safe_line(f"a copy that a rebuild kept still holds mail of it: delete it yourself: {path}"))
    return ExitCode.REJECTS if gone.damaged_paths else ExitCode.OK


def _is_sure(inbox: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"Delete the inbox {safe_line(inbox)} for good? Type its name: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == inbox
