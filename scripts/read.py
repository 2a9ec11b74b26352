"""Print one mail of an inbox.

The mail is named by the number that `mailsleuth search` shows, or by its Message-ID.
"""

from __future__ import annotations

import argparse
import json

from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from scripts.mail_view import email_row, print_email
from scripts.search import add_inbox_arguments, end_of
from scripts.terminal import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("mail", metavar="ID", help="number of the mail, or its Message-ID")
    add_inbox_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the mail and return the exit code."""
    inbox = Inbox.open(args.mailbox, args.inbox)
    try:
        stored = inbox.read(_reference(args.mail), as_of=end_of(args.as_of))
    finally:
        inbox.close()
    if stored is None:
        next_step = f"numbers run from 1 to {inbox.num_emails}; see `mailsleuth search`"
        raise UsageError(1, f"no mail {args.mail}", where=f"inbox {args.inbox}", next_step=next_step)
    if args.json:
        print(json.dumps(email_row(stored)))
    else:
        print_email(console(), stored)
    return 0


def _reference(text: str) -> int | str:
    is_number = text.isdecimal() and len(text) <= 12
    return int(text) if is_number else text
