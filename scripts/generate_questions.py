"""Generate questions with known answers from a mailbox.

Known-item questions, made offline without a model: who wrote what about which topic, roughly when. About one in seven
has no answer. They are for find mode: what counts is the mail, not the words of the answer. The same mailbox and seed
give the same questions. What they give away is printed: see that few are found by their own words.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

from inbox_env.errors import ExitCode, UsageError
from inbox_env.known_items.generate import KnownItems, generate_known_items
from inbox_env.leak_report import measure_leaks
from inbox_env.questions import Question, write_questions
from inbox_env.store import EmailStore
from scripts.terminal import console, safe_line

MAX_LENDERS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument(
        "--inbox",
        action="append",
        required=True,
        metavar="NAME",
        help="inbox to ask about; repeatable: then unanswerable questions borrow topics from these inboxes only",
    )
    parser.add_argument("--count", type=int, default=200, metavar="N", help="questions for each inbox (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other questions (default 1)")
    parser.add_argument("--split", default="", metavar="NAME", help="train, dev or test: noted in every question")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON Lines file to write")


def run(args: argparse.Namespace) -> int:
    """Generate, write and print the leak report; return the exit code."""
    if args.count < 1:
        raise UsageError(1, "--count is at least 1")
    if args.out.is_dir() or not args.out.parent.is_dir():
        raise UsageError(2, "cannot write questions here", where=str(args.out), next_step="name a file in a folder")
    store = EmailStore.open(args.mailbox)
    try:
        questions = _generate(store, args)
        report = measure_leaks(store, questions)
    finally:
        store.close()
    _write(args.out, questions)
    out = console()
    for line in (*report.lines(), f"wrote {args.out}"):
        out.print(safe_line(line))
    return ExitCode.OK


def _generate(store: EmailStore, args: argparse.Namespace) -> list[Question]:
    names = list(dict.fromkeys(args.inbox))
    lenders = names if len(names) > 1 else _lenders(store, names[0], args.seed)
    items = {name: KnownItems(store, name) for name in dict.fromkeys([*names, *lenders])}
    questions: list[Question] = []
    for name in names:
        others = [items[other] for other in lenders if other != name]
        made = generate_known_items(items[name], others, args.count, seed=args.seed, split=args.split)
        if len(made) < args.count:
            what = f"{name}: its mail gives {len(made):,} questions, not {args.count:,}"
            console().print(safe_line(what))
        questions += made
    return questions


def _lenders(store: EmailStore, name: str, seed: int) -> list[str]:
    """Return other inboxes of the mailbox to borrow topics from."""
    store.info(name)  # an unknown name gets its message before anything is read
    others = [info.name for info in store.inboxes() if info.name != name]
    return Random(f"{seed}:lenders:{name}").sample(others, min(MAX_LENDERS, len(others)))


def _write(path: Path, questions: Sequence[Question]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write_questions(partial, questions)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
