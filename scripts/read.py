"""Print one mail of an inbox.

The mail is named by the number that `mailsleuth search` shows, or by its Message-ID (with or without < and >).
A number is the mail's rank by date in its inbox: once older mail is imported, later mails have other numbers. A
Message-ID stays. After the body comes what the import read of the attachments, where it was asked to.
"""

from __future__ import annotations

import argparse
import json
from datetime import datetime

from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.store import StoredEmail
from scripts.mail_view import email_row, print_email
from scripts.search import add_inbox_arguments, end_of
from scripts.terminal import console

_MAX_DIGITS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("mail", metavar="ID", help="number of the mail, or its Message-ID")
    add_inbox_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the mail and return the exit code."""
    inbox = Inbox.open(args.mailbox, args.inbox)
    try:
        stored = _find(inbox, args.mail, end_of(args.as_of))
        hidden = _find(inbox, args.mail, None) if stored is None and args.as_of else None
    finally:
        inbox.close()
    if stored is None:
        raise _not_shown(args, hidden, inbox.num_emails)
    if args.json:
        print(json.dumps(email_row(stored)))
    else:
        print_email(console(), stored)
    return 0


def _find(inbox: Inbox, text: str, as_of: datetime | None) -> StoredEmail | None:
    """Return the mail of this number or Message-ID, which may lack its angle brackets."""
    if text.isdecimal() and len(text) <= _MAX_DIGITS:
        return inbox.read(int(text), as_of=as_of)
    return inbox.read(text, as_of=as_of) or inbox.read(f"<{text}>", as_of=as_of)


def _not_shown(args: argparse.Namespace, hidden: StoredEmail | None, num_emails: int) -> UsageError:
    where = f"inbox {args.inbox}"
    if hidden is None:
        next_step = f"numbers run from 1 to {num_emails}; see `mailsleuth search`"
        return UsageError(1, f"no mail {args.mail}", where=where, next_step=next_step)
    sent = hidden.email.date
    what = "has no date" if sent is None else f"is of {sent:%Y-%m-%d}, later than {args.as_of}"
    return UsageError(4, f"mail {args.mail} {what}", where=where, next_step="leave out --as-of, or give a later day")
