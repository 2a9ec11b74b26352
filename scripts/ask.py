"""Ask an inbox a question and print the answer with the mails that hold it.

Every source comes with the words that support the answer. "I don't know" is an answer too. With --json the answer is
one JSON object; the exit code is 0 for an answer and for "I don't know", and 6 when the model failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from rich.console import Console
from rich.text import Text

from inbox_env.actions import StopReason
from inbox_env.errors import ExitCode, UsageError
from scripts.inbox_answers import add_answer_arguments, open_answers
from scripts.terminal import console, safe_line, waiting

MAX_QUOTE_CHARS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("question", help="what to look for, in your own words")
    add_answer_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the answer and return the exit code."""
    if not args.question.strip():
        raise UsageError(1, "nothing is asked", next_step='mailsleuth ask "When is ..?" --mailbox my.db --inbox me')
    answers = open_answers(args)
    try:
        with waiting("looking"):
            found = asyncio.run(answers.ask(args.question))
    finally:
        answers.inbox.close()
    if args.json:
        print(json.dumps(found))
    else:
        _print(console(), found)
    return ExitCode.UPSTREAM if found["stop_reason"] == StopReason.ERROR else ExitCode.OK


def _print(out: Console, found: dict[str, Any]) -> None:
    out.print(Text(found["line"], "bold green" if found["answer"] else "bold"))
    for source in found["sources"]:
        if source["number"] is not None:
            sent = (source["date"] or "no date")[:10]
            head = f"  mail {source['number']}  {sent}  {source['from']}: {source['subject']}"
            out.print(Text(safe_line(head, MAX_QUOTE_CHARS)))
        if source["quote"]:
            out.print(Text(f"    “{safe_line(source['quote'], MAX_QUOTE_CHARS)}”", "dim"))
    for unknown in found["unknown_sources"]:
        out.print(Text(f"  cites {unknown}, which is no mail of this inbox", "red"))
