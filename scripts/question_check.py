"""The checking half of `mailsleuth questions`: names the leaks of a question file, writes what is sound or mended."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from inbox_env.errors import ExitCode
from inbox_env.inbox import Inbox
from inbox_env.leak_fixes import Fix, mend
from inbox_env.leak_report import measure, summarise
from inbox_env.leaks import Leak, find_leaks, inboxes_in_two_splits
from inbox_env.questions import Question, read_questions
from inbox_env.store import EmailStore
from scripts.argument_types import check_writable
from scripts.question_files import write_rows, write_whole
from scripts.terminal import console, safe_line


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that go with --check."""
    parser.add_argument("--check", type=Path, metavar="FILE", help="check the questions of this file instead")
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="with --check: questions of another split, which must not be like these; repeatable",
    )
    parser.add_argument(
        "--fix", type=Path, metavar="FILE", help="write the questions of --check that have no leak, or mended, here"
    )
    parser.add_argument(
        "--rows", type=Path, metavar="FILE", help="write the figures of each question of --check here, a JSON line each"
    )


def check_questions(args: argparse.Namespace) -> int:
    """Check the questions of a file, name each leak, and write the others if asked to; returns the exit code."""
    for path in (args.fix, args.rows):
        if path is not None:
            check_writable(path)
    questions = read_questions(args.check)
    against = [question for path in args.against for question in _of_split(path)]
    store = EmailStore.open(args.mailbox)
    try:
        inboxes = {name: Inbox(store, name) for name in dict.fromkeys(question.inbox for question in questions)}
        figures = [measure(inboxes[question.inbox], question) for question in questions]
        leaks = find_leaks(store, questions, against=against, figures=figures)
        kept, fixes = _sound(inboxes, questions, leaks, is_mending=args.fix is not None)
        warnings = [*inboxes_in_two_splits([*against, *questions]), *_not_compared(store, against)]
    finally:
        store.close()
    mended = [fix.line() for fix in fixes]
    _print(
        (*(leak.line() for leak in leaks), *mended, *summarise(figures).lines(), *warnings, _total(questions, leaks))
    )
    if args.rows is not None:
        write_rows(args.rows, [{**one.row(), "leaks": _names(leaks, one.question)} for one in figures])
        _print([f"wrote {args.rows}"])
    if args.fix is not None:
        write_whole(args.fix, kept)
        left = len(questions) - len(kept)
        _print([f"wrote {args.fix}: {len(fixes):,} questions mended, {left:,} left out"])
    return ExitCode.OK


def _sound(
    inboxes: dict[str, Inbox], questions: Sequence[Question], leaks: Sequence[Leak], *, is_mending: bool
) -> tuple[list[Question], list[Fix]]:
    """Return the questions that have no leak or were mended, in their order, and what was changed."""
    by_question: dict[int, list[Leak]] = {}  # joined files may hold two questions of one name
    for leak in leaks:
        by_question.setdefault(id(leak.question), []).append(leak)
    kept: list[Question] = []
    fixes: list[Fix] = []
    texts = {(question.inbox, question.question) for question in questions}
    for question in questions:
        found = by_question.get(id(question), [])
        fix = mend(inboxes[question.inbox], question, found) if found and is_mending else None
        if fix is not None and (fix.after.inbox, fix.after.question) not in texts:
            texts.add((fix.after.inbox, fix.after.question))
            fixes.append(fix)
            kept.append(fix.after)
        elif not found:
            kept.append(question)
    return kept, fixes


def _of_split(path: Path) -> list[Question]:
    """Return the questions of a file; those that name no split are of one called as the file."""
    return [one.model_copy(update={"split": one.split or path.stem}) for one in read_questions(path)]


def _not_compared(store: EmailStore, against: Sequence[Question]) -> list[str]:
    absent = {one.inbox for one in against} - {info.name for info in store.inboxes()}
    return [f"inbox {name} is not in the mailbox: only its questions were compared" for name in sorted(absent)]


def _total(questions: Sequence[Question], leaks: Sequence[Leak]) -> str:
    counts = Counter(leak.name for leak in leaks)
    reasons = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"
    num_sound = len(questions) - len({id(leak.question) for leak in leaks})
    return f"leaks: {reasons}; {num_sound:,} of {len(questions):,} questions have none"


def _names(leaks: Sequence[Leak], question: Question) -> list[str]:
    return [leak.name for leak in leaks if leak.question is question]


def _print(lines: Iterable[str]) -> None:
    out = console()
    for line in lines:
        out.print(safe_line(line))
