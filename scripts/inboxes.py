"""List the inboxes of a mailbox, or set an owner.

One line for each inbox: its name, how many mails, from which day to which, and its owner. The owner is guessed
by the import; --set-owner says whose inbox it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from inbox_env.emails import Address
from inbox_env.errors import UsageError
from inbox_env.store import EmailStore, InboxInfo
from inbox_env.upkeep.owners import set_owner
from scripts.import_mail import parse_owner
from scripts.mail_view import day
from scripts.terminal import console, safe_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--inbox", help="only this inbox (default: all)")
    parser.add_argument("--set-owner", metavar="WHO", help='make "Name <address>" the owner of --inbox')
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print the inboxes and return the exit code."""
    if args.set_owner is not None:
        if not args.inbox:
            raise UsageError(92, "--set-owner without --inbox", next_step="say whose inbox it is")
        set_owner(args.mailbox, args.inbox, _owner(args.set_owner))
    store = EmailStore.open(args.mailbox)
    try:
        infos = [store.info(args.inbox)] if args.inbox else store.inboxes()
    finally:
        store.close()
    if args.json:
        for info in infos:
            print(json.dumps(_row(info)))
    else:
        _print_table(infos)
    return 0


def _owner(text: str) -> Address:
    try:
        return parse_owner(text)
    except UsageError as error:  # it speaks of the import's option
        raise UsageError(93, "--set-owner is not one address", where=text, next_step=error.next_step) from error


def _row(info: InboxInfo) -> dict[str, str | int | None]:
    dates = (info.first_date, info.last_date)
    first, last = (None if date is None else date.isoformat() for date in dates)
    return {
        "inbox": info.name,
        "num_emails": info.num_emails,
        "first_date": first,
        "last_date": last,
        "owner": str(info.owner),
        "index": info.index,
    }


def _print_table(infos: list[InboxInfo]) -> None:
    out = console()
    rows = [(i.name, str(i.num_emails), day(i.first_date), day(i.last_date), str(i.owner)) for i in infos]
    if not out.is_terminal:
        for row in rows:
            print("\t".join(map(safe_line, row)))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("inbox", "mails", "first", "last", "owner"):
        table.add_column(name, justify="right" if name == "mails" else "left")
    for row in rows:
        table.add_row(*(Text(safe_line(cell)) for cell in row))
    out.print(table)
