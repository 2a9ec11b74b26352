"""Generate questions with known answers from a mailbox.

Known-item questions, made offline without a model: who wrote what about which topic, roughly when. About one in seven
has no answer. Most are for find mode, where the mail counts and not the words of the answer; with --answers all have an
answer that can be checked by its text: an amount, a date, a time, a phone number, a place, a sender. The same mailbox
and seed give the same questions. What they give away is printed: see that few are found by their own words.

With --writer MODEL a chat model writes them, with answers: batches of mails, spread evenly over time, go to the model;
each draft is then checked against its mail, and a second pass has to find the answer by search, and no other. What it
takes is estimated first; with --dry-run that is all, and nothing is sent.

With --check FILE nothing is generated: the questions of any file are checked against their mailbox. Each that gives its
mail away, has no mail, fits another mail as well, or comes twice is named with its reason; --against names the files of
other splits, from which it has to differ. --fix writes the sound ones, and those that a small change mends.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

from inbox_env.errors import ExitCode, UsageError
from inbox_env.known_items.generate import KnownItems, generate_known_items
from inbox_env.leak_report import measure_leaks
from inbox_env.questions import Question
from inbox_env.store import EmailStore
from scripts.argument_types import check_writable
from scripts.question_check import add_check_arguments, check_questions
from scripts.question_files import write_whole
from scripts.terminal import console, plural, safe_line, waiting
from scripts.writer_options import add_writer_options, check_writer_options

MAX_LENDERS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument(
        "--inbox",
        action="append",
        metavar="NAME",
        help="inbox to ask about; repeatable: then unanswerable questions borrow topics from these inboxes only",
    )
    parser.add_argument("--count", type=int, default=200, metavar="N", help="questions for each inbox (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other questions (default 1)")
    parser.add_argument("--split", default="", metavar="NAME", help="train, dev or test: noted in every question")
    parser.add_argument(
        "--answers",
        action="store_true",
        help="only questions whose answer can be checked by its text, for answer mode, and those without an answer",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON Lines file to write")
    add_check_arguments(parser)
    add_writer_options(parser)


def run(args: argparse.Namespace) -> int:
    """Generate, write and print the leak report; return the exit code."""
    check_writer_options(args)
    if args.check is not None:
        return check_questions(args)
    if args.fix is not None or args.rows is not None or args.against:
        given = next(name for name in ("fix", "rows", "against") if getattr(args, name))
        what = "--fix, --rows and --against go with --check"
        raise UsageError(3, what, where=f"--{given}", next_step="name the file to check")
    if not args.inbox or args.out is None:
        raise UsageError(4, "name inboxes with --inbox and a file with --out", next_step="or check one with --check")
    if args.count < 1:
        raise UsageError(1, "--count is at least 1", where=f"--count {args.count}", next_step="ask for 1 or more")
    check_writable(args.out)
    if args.writer is not None:
        from scripts.write_questions import write_by_model  # needs the extra with the model's client

        return write_by_model(args)
    store = EmailStore.open(args.mailbox)
    try:
        with waiting("reading the mail and making questions"):
            questions = _generate(store, args)
        with waiting("looking for what they give away"):
            report = measure_leaks(store, questions)
    finally:
        store.close()
    write_whole(args.out, questions)
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
        options = {"seed": args.seed, "split": args.split, "is_checkable": args.answers}
        made = generate_known_items(items[name], others, args.count, **options)
        if len(made) < args.count:
            what = f"{name}: its mail gives {plural(len(made), 'question')}, not {args.count:,}"
            console().print(safe_line(what))
        questions += made
    return questions


def _lenders(store: EmailStore, name: str, seed: int) -> list[str]:
    """Return other inboxes of the mailbox to borrow topics from."""
    store.info(name)  # an unknown name gets its message before anything is read
    others = [info.name for info in store.inboxes() if info.name != name]
    return Random(f"{seed}:lenders:{name}").sample(others, min(MAX_LENDERS, len(others)))
