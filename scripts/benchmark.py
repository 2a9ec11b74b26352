"""Compare policies on the same questions.

Plays every question once with every policy and writes summary.json and report.md to a folder, with the episodes beside
them: run again, only what is missing is played. Keyword heuristics get a perfect reader: they are right if and only if
they opened the right mail. --mode find judges the mail that is cited, --mode answer the words of the answer.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.arena import Arena
from agent.evaluate import PolicyReport, Role
from agent.evaluation_folder import EvaluationFolder
from agent.policies import LOCAL, load_policy
from agent.policy import Policy
from inbox_env.env import EnvLimits
from inbox_env.errors import ExitCode, UsageError
from inbox_env.questions import Question, read_questions
from inbox_env.store import EmailStore
from scripts.benchmark_summary import BenchRow, Comparison, Unreachable, compare, find_unreachable, make_row, markdown
from scripts.consent import add_consent, confirm_sending
from scripts.report import policies_table
from scripts.run_folder import Summary
from scripts.terminal import console, safe_line

SETTINGS = "settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--questions", type=Path, required=True, help="JSON Lines file of labelled questions")
    parser.add_argument(
        "--policy",
        action="append",
        required=True,
        metavar="NAME",
        help="keywords-and, keywords-names, keywords-bm25, keywords-retry (each also as NAME+local:FOLDER), "
        "demonstrator, oracle, local:FOLDER, api:PROVIDER/MODEL; repeatable",
    )
    add_consent(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of episodes and report")
    parser.add_argument("--mode", choices=("answer", "find"), default="answer", help="what counts as right")
    parser.add_argument("--inbox", action="append", metavar="NAME", help="only questions about this inbox; repeatable")
    parser.add_argument("--limit", type=int, metavar="N", help="only N questions, spread evenly over the file")
    parser.add_argument("--baseline", metavar="NAME", help="policy to compare the others with (default: the first)")
    parser.add_argument("--temperature", type=float, default=0.0, help="of sampling, for local policies (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of sampling (default 0)")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N", help="episodes at once (default 64)")
    parser.add_argument("--deadline", type=float, default=300.0, metavar="SECONDS", help="of one episode (default 300)")
    parser.add_argument(
        "--fail-on-error",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="give up when more than this share of episodes ends in an error (default 0.1)",
    )
    parser.add_argument("--json", action="store_true", help="print summary.json instead of the table")


def run(args: argparse.Namespace) -> int:
    """Play what is missing, write and print the comparison, and return the exit code."""
    if args.concurrency < 1:
        raise UsageError(9, "--concurrency is at least 1")
    if args.deadline <= 0 or not 0 <= args.fail_on_error <= 1:
        raise UsageError(10, "--deadline is above 0 and --fail-on-error a share from 0 to 1")
    specs = list(dict.fromkeys(args.policy))
    baseline = _baseline(args.baseline, specs)
    questions = _questions(args)
    _check_inboxes(args.mailbox, questions)
    arena = Arena.open(args.mailbox, questions, EnvLimits())
    unreachable = find_unreachable(arena, arena.questions)
    policies = [load_policy(spec, arena.gold, temperature=args.temperature, seed=args.seed) for spec in specs]
    confirm_sending(specs, is_agreed=args.yes_send)
    _check_settings(args, specs)
    split = _split(args.questions, questions)
    evaluation = EvaluationFolder(
        args.out,
        arena,
        split,
        args.mode,
        deadline_seconds=args.deadline,
        fail_share=args.fail_on_error,
        on_warning=lambda text: print(f"warning: {safe_line(text)}", file=sys.stderr),
    )
    reports = [_play(evaluation, policy, arena, spec, args) for policy, spec in zip(policies, specs, strict=True)]
    plays = {spec: evaluation.trajectories(spec, with_errors=True) for spec in specs}
    rows = [make_row(report, plays[report.name], arena.questions, args.mode) for report in reports]
    comparisons = compare(plays, baseline, arena.questions, args.mode)
    summary = _summary(args, arena.questions, rows, comparisons, unreachable)
    notes = _notes(arena.questions, args, unreachable)
    title = f"{len(questions):,} questions of {args.questions.name}"
    _write(args.out / "summary.json", json.dumps(summary, indent=1) + "\n")
    _write(args.out / "report.md", markdown(title, rows, comparisons, notes))
    _print(args, summary, comparisons, notes)
    return ExitCode.OK


def _baseline(name: str | None, specs: Sequence[str]) -> str:
    if name is not None and name not in specs:
        raise UsageError(1, f"the baseline {name!r} is not played", next_step=f"add --policy {name}")
    return name or specs[0]


def _questions(args: argparse.Namespace) -> list[Question]:
    questions = read_questions(args.questions)
    ids = [question.id for question in questions]
    if len(set(ids)) < len(ids):
        twin = next(one for one in ids if ids.count(one) > 1)
        raise UsageError(2, f"two questions have the id {twin!r}", where=str(args.questions))
    if args.inbox:
        names = {question.inbox for question in questions}
        for name in args.inbox:
            if name not in names:
                some = ", ".join(sorted(names)[:5])
                raise UsageError(3, f"no questions about {name!r}", where=str(args.questions), next_step=f"has: {some}")
        questions = [question for question in questions if question.inbox in args.inbox]
    if args.limit is None:
        return questions
    if args.limit < 1:
        raise UsageError(4, "--limit is at least 1")
    return questions[:: max(1, len(questions) // args.limit)][: args.limit]


def _check_inboxes(mailbox: Path, questions: Sequence[Question]) -> None:
    store = EmailStore.open(mailbox)
    present = {info.name for info in store.inboxes()}
    store.close()
    asked = dict.fromkeys(question.inbox for question in questions)
    absent = [name for name in asked if name not in present]
    if absent:
        common = [name for name in asked if name in present]
        only = f", or use --inbox {common[0]}" if common else ""
        what = f"no mail for questions about: {', '.join(absent[:5])}"
        raise UsageError(5, what, where=str(mailbox), next_step=f"import it{only}")


def _check_settings(args: argparse.Namespace, specs: Sequence[str]) -> None:
    """Refuse to mix episodes of other settings or other weights with those on file; note the present ones."""
    path = args.out / SETTINGS
    now = {"mailbox": str(args.mailbox.resolve()), "temperature": args.temperature, "seed": args.seed}
    now |= {f"weights of {spec}": _weights(spec) for spec in specs if LOCAL in spec}
    before = _read_settings(path) if path.is_file() else {}
    changed = [name for name, value in now.items() if before.get(name, value) != value]
    if changed:
        what = f"the episodes here were played with another setting: {changed[0]}"
        raise UsageError(6, what, where=str(args.out), next_step="name another folder with --out")
    args.out.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(before | now, indent=1) + "\n")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(7, "not a benchmark's folder", where=str(path), next_step="name another with --out") from error


def _weights(spec: str) -> list[list[str | int]]:
    """Return name, size and time of the weight files: what changes when the model is trained again."""
    folder = Path(spec.partition(LOCAL)[2])
    files = sorted(folder.glob("*.safetensors")) + sorted((folder / "model").glob("*.safetensors"))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _play(
    evaluation: EvaluationFolder, policy: Policy, arena: Arena, spec: str, args: argparse.Namespace
) -> PolicyReport:
    on_file = evaluation.trajectories(spec)
    if any(on_file[q.id].question != q.question for q in arena.questions if q.id in on_file):
        what = f"{spec} was played here on other questions with the same ids"
        raise UsageError(8, what, where=str(args.out), next_step="name another folder with --out")
    return evaluation.play(policy, _role(spec), arena.questions, concurrency=args.concurrency, name=spec)


def _role(spec: str) -> Role:
    if spec == "oracle":
        return "oracle"
    if spec == "demonstrator":
        return "demonstrator"
    if not spec.startswith(LOCAL):
        return "baseline"
    return "trained" if (Path(spec.removeprefix(LOCAL)) / "model").is_dir() else "base"


def _split(path: Path, questions: Sequence[Question]) -> str:
    """Return the one split of the questions, or the name of their file."""
    splits = {question.split for question in questions}
    return splits.pop() if len(splits) == 1 and "" not in splits else path.stem


def _summary(
    args: argparse.Namespace,
    questions: Sequence[Question],
    rows: Sequence[BenchRow],
    comparisons: Sequence[Comparison],
    unreachable: Unreachable,
) -> dict[str, Any]:
    asked = {
        "file": str(args.questions),
        "count": len(questions),
        "inboxes": sorted({question.inbox for question in questions}),
        "answerable": sum(question.answerable for question in questions),
        "mode": args.mode,
        "unreachable": unreachable.model_dump(mode="json"),
    }
    return {
        "policies": [row.model_dump(mode="json") for row in rows],
        "questions": asked,
        "comparisons": [one.model_dump(mode="json") for one in comparisons],
        "versions": {"python": platform.python_version(), "mailsleuth": version("mailsleuth")},
    }


def _notes(questions: Sequence[Question], args: argparse.Namespace, unreachable: Unreachable) -> list[str]:
    num_unanswerable = sum(not question.answerable for question in questions)
    inboxes = len({question.inbox for question in questions})
    asked = f"mode {args.mode}; {inboxes} inbox{'es' * (inboxes > 1)}; {num_unanswerable} questions are unanswerable"
    return [asked, unreachable.line()]


def _print(
    args: argparse.Namespace, summary: dict[str, Any], comparisons: Sequence[Comparison], notes: Sequence[str]
) -> None:
    if args.json:
        print(json.dumps(summary))
        return
    out = console()
    out.print(policies_table(Summary.model_validate(summary)))
    for one in comparisons:
        counts = f"{one.only_policy} questions right only by {one.policy}, {one.only_baseline} only by {one.baseline}"
        out.print(safe_line(f"{counts}: p = {one.p_holm:.2g}"))
    for note in notes:
        out.print(safe_line(note))
    out.print(safe_line(f"wrote {args.out / 'report.md'} and {args.out / 'summary.json'}"))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
