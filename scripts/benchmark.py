"""Compare policies on the same questions.

Plays every question with every policy, once a seed, and writes summary.json, report.md and a report.html that stands
alone to a folder, with the episodes beside them: run again, after whatever ended it, only what is missing is played.
Keyword heuristics get a perfect reader: they are right if and only if they opened the right mail. --mode find judges
the mail that is cited, --mode answer the words of the answer.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.arena import Arena
from agent.evaluation_folder import EvaluationFolder
from agent.policies import LOCAL, load_policy
from agent.policies.api_client import Patience
from agent.policies.chat_models import parse_chat_spec
from agent.policy import Policy
from agent.terms import Terms
from inbox_env.errors import ExitCode, UsageError
from inbox_env.lock import mailbox_lock
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode
from scripts.bench_report import BenchReport, write_html
from scripts.benchmark_contenders import Contender, make_contenders
from scripts.benchmark_costs import add_timing, api_cost, machine_cost, seconds_per_episode
from scripts.benchmark_grades import Grade, grade, write_grades
from scripts.benchmark_injection import ALL, OrderRow, check_contained, order_rows, sentence
from scripts.benchmark_judge import judge_config, judge_episodes
from scripts.benchmark_options import add_options, check_options
from scripts.benchmark_parts import make_parts
from scripts.benchmark_published import read_published
from scripts.benchmark_selection import check_mode, left_out
from scripts.benchmark_settings import check_settings, note_terms, read_settings
from scripts.benchmark_suites import Source, Suite, load_suite, open_sources
from scripts.benchmark_summary import BenchRow, Comparison, compare, find_unreachable, make_row, markdown
from scripts.benchmark_terms import noted_terms, read_like, terms_of, warnings
from scripts.consent import confirm_sending
from scripts.report import policies_table
from scripts.run_folder import Summary
from scripts.terminal import console, plural, safe_line

Episodes = list[tuple[Trajectory, Grade]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is compared on what."""

    args: argparse.Namespace
    suite: Suite
    arena: Arena
    contenders: tuple[Contender, ...]
    baseline: str
    evaluation: EvaluationFolder
    like: Terms | None
    sources: Mapping[str, str]

    @property
    def mode(self) -> Mode:
        """What counts as right."""
        mode: Mode = self.args.mode or self.suite.mode
        return mode

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked."""
        return self.arena.questions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Play what is missing, write and print the comparison, and return the exit code."""
    check_options(args)
    suite = load_suite(args.suite) if args.suite else _given(args)
    specs = list(args.policy or suite.policies)
    if not specs:
        raise UsageError(11, "no policy named", next_step="add --policy NAME")
    seeds = range(args.seed, args.seed + args.seeds)
    contenders = make_contenders(specs, args.temperature or [0.0], seeds)
    baseline = _baseline(args.baseline or (suite.baseline if suite.baseline in specs else None), contenders)
    limit = suite.limit if args.limit is None else args.limit
    like = _like(args, suite)
    asked = open_sources(
        suite,
        args.mailbox,
        args.questions or (),
        inboxes=tuple(args.inbox or ()),
        limit=limit,
        limits=like.limits if like else None,
    )
    where = ", ".join(map(str, args.questions or [args.suite or ""]))
    _warn(check_mode(asked.arena.questions, args.mode or suite.mode, where))
    _check_policies(contenders, asked.arena, suite)
    judge = judge_config(args.judge)
    confirm_sending(specs, is_agreed=args.yes_send, judge=judge)
    check_settings(args.out, asked.mailboxes, suite.tools, like, contenders)
    with mailbox_lock(args.out / "episodes"):
        bench = Bench(
            args,
            suite,
            asked.arena,
            tuple(contenders),
            baseline,
            _folder(args, suite, asked.arena),
            like,
            asked.sources,
        )
        for contender in contenders:
            _play(bench, contender)
        if judge is not None:
            keys = [one.key(seed) for one in contenders for seed in one.seeds]
            judge_episodes(bench.evaluation, keys, bench.questions, judge, args.out, bench.mode)
        _conclude(bench)
    return ExitCode.OK


def _given(args: argparse.Namespace) -> Suite:
    title = ", ".join(path.stem for path in args.questions or ()) or "questions"
    return Suite(title=title, source=(Source(kind="given"),))


def _like(args: argparse.Namespace, suite: Suite) -> Terms | None:
    """Return the terms of all policies that are no trained agents; None: each has its own."""
    if args.like is not None and suite.tools == "arte":
        raise UsageError(17, "ART-E's setting has a prompt and limits of its own", next_step="leave out --like")
    folder = args.like or suite.like
    return read_like(folder) if folder is not None else None


def _baseline(name: str | None, contenders: Sequence[Contender]) -> str:
    """Return the label of the baseline: named by its policy or by its row."""
    for one in contenders:
        if name in (None, one.label, one.spec):
            return one.label
    raise UsageError(1, f"the baseline {name!r} is not played", next_step=f"add --policy {name}")


def _check_policies(contenders: Sequence[Contender], arena: Arena, suite: Suite) -> None:
    """Refuse unknown policies before anything is written; models that are there are loaded when it is their turn."""
    for one in contenders:
        if one.spec.startswith(LOCAL) and Path(one.spec.removeprefix(LOCAL)).is_dir():
            continue
        if parse_chat_spec(one.spec) is None or not one.spec.startswith("openai"):
            load_policy(one.spec, arena.gold, toolset=suite.toolset())


def _folder(args: argparse.Namespace, suite: Suite, arena: Arena) -> EvaluationFolder:
    return EvaluationFolder(
        args.out,
        arena,
        _split(arena.questions, suite),
        args.mode or suite.mode,
        deadline_seconds=args.deadline,
        fail_share=args.fail_on_error,
        on_warning=_warn,
    )


def _split(questions: Sequence[Question], suite: Suite) -> str:
    """Return the one split of the questions, or what they are called."""
    splits = {question.split for question in questions}
    return splits.pop() if len(splits) == 1 and "" not in splits else suite.title


def _play(bench: Bench, contender: Contender) -> None:
    """Play what is missing of one contender; a model is loaded only for that."""
    args = bench.args
    for seed in contender.seeds:
        key = contender.key(seed)
        on_file = bench.evaluation.trajectories(key)
        if any(on_file[q.id].question != q.question for q in bench.questions if q.id in on_file):
            what = f"{contender.spec} was played here on other questions with the same ids"
            raise UsageError(8, what, where=str(args.out), next_step="name another folder with --out")
        num_missing = sum(question.id not in on_file for question in bench.questions)
        if not num_missing:
            continue
        policy = _load(bench, contender, seed)
        note_terms(args.out, contender.spec, terms_of(policy, bench.arena.limits), is_first=not on_file)
        evaluation = bench.evaluation
        if contender.is_chat:
            evaluation = _folder(args, bench.suite, bench.arena.with_tools(bench.suite.toolset().make_tools))
        started = time.monotonic()
        concurrency = args.api_concurrency if contender.is_chat else args.concurrency
        evaluation.play(policy, contender.role, bench.questions, concurrency=concurrency, name=key)
        add_timing(args.out, key, time.monotonic() - started, num_missing)


def _load(bench: Bench, contender: Contender, seed: int) -> Policy:
    args = bench.args
    return load_policy(
        contender.spec,
        bench.arena.gold,
        temperature=contender.temperature,
        seed=seed,
        patience=Patience(call_seconds=args.call_seconds, budget_seconds=args.deadline),
        toolset=bench.suite.toolset(bench.like),
        terms=None if contender.is_trained else bench.like,
    )


def _conclude(bench: Bench) -> None:
    """Grade what is on file; write and print the reports."""
    args = bench.args
    played = {one.label: list(_episodes(bench, one)) for one in bench.contenders}
    grades = {label: [one for _, one in episodes] for label, episodes in played.items()}
    write_grades(args.out / "grades.jsonl", [one for rows in grades.values() for one in rows])
    split = _split(bench.questions, bench.suite)
    settings = read_settings(args.out)
    terms = {one.label: noted_terms(settings, one.spec) for one in bench.contenders}
    rows = [
        make_row(one, split, played[one.label], bench.questions, bench.mode,
                 cost=_cost(bench, one, grades[one.label]), terms=terms[one.label])
        for one in bench.contenders
    ]  # fmt: skip
    comparisons = compare(grades, bench.baseline, bench.questions, args.detect)
    unreachable = find_unreachable(bench.arena, bench.questions)
    published = read_published() if bench.suite.published else []
    parts = make_parts(
        bench.sources, bench.contenders, played, bench.questions, bench.baseline, bench.mode, args.detect
    )
    summary = _summary(bench, rows, comparisons) | {"published": [one.model_dump(mode="json") for one in published]}
    summary["questions"]["unreachable"] = unreachable.model_dump(mode="json")
    orders = order_rows(played, bench.suite.attacks())
    summary |= {"injection": [row.model_dump(mode="json") for row in orders]} if orders else {}
    notes = [
        *warnings(terms),
        _asked(bench),
        unreachable.line(),
        *_cost_notes(bench),
        *_order_notes(bench, played, orders),
    ]
    summary |= {"sources": [part.model_dump(mode="json") for part in parts]} if parts else {}
    title = f"{bench.suite.title}: {plural(len(bench.questions), 'question')}"
    _warn(left_out(args.out, summary))
    _write(args.out / "summary.json", json.dumps(summary, indent=1) + "\n")
    _write(
        args.out / "report.md",
        markdown(
            title, rows, comparisons, published, notes, orders, [[part.heading(), *part.cells()] for part in parts]
        ),
    )
    report = BenchReport(bench.suite.title, bench.suite.about, rows, comparisons, published, notes, played,
                         bench.questions, bench.baseline, args.detect, summary["versions"], orders, parts)  # fmt: skip
    write_html(args.out / "report.html", report)
    _print(args, summary, comparisons, notes)


def _episodes(bench: Bench, contender: Contender) -> Iterator[tuple[Trajectory, Grade]]:
    for seed in contender.seeds:
        key = contender.key(seed)
        path, plays = bench.evaluation.path(key), bench.evaluation.trajectories(key, with_errors=True)
        lines = {question_id: number for number, question_id in enumerate(plays, 1)}
        for question in bench.questions:
            play = plays[question.id]
            yield play, grade(contender.label, seed, play, question, bench.mode, (path, lines[question.id]))


def _cost(bench: Bench, contender: Contender, grades: Sequence[Grade]) -> float | None:
    chat = parse_chat_spec(contender.spec)
    if chat is not None and chat.kind != "openai":
        return api_cost(chat, grades)
    keys = [contender.key(seed) for seed in contender.seeds]
    return machine_cost(seconds_per_episode(bench.args.out, keys), bench.args.price_per_hour)


def _cost_notes(bench: Bench) -> list[str]:
    price = bench.args.price_per_hour
    if price is None:
        return []
    return [f"cost: measured seconds of this machine at ${price:g} an hour; models of a provider at litellm's prices"]


def _order_notes(bench: Bench, played: Mapping[str, Episodes], orders: Sequence[OrderRow]) -> list[str]:
    if not orders:
        return []
    seen = check_contained(played, bench.arena)
    contained = f"of {seen:,} mails that episodes were shown or cited, none is of another inbox or after the question"
    return [*(sentence(row) for row in orders if row.goal == ALL), contained]


def _asked(bench: Bench) -> str:
    num_unanswerable = sum(not question.answerable for question in bench.questions)
    inboxes = len({question.inbox for question in bench.questions})
    tools = "; chat models have ART-E's tools, all others this project's" if bench.suite.tools == "arte" else ""
    judge = f"; what no rule decides is judged by {bench.args.judge}" if bench.args.judge else ""
    return (
        f"mode {bench.mode}; {inboxes} inbox{'es' * (inboxes > 1)}; "
        f"{plural(num_unanswerable, 'question')} {'is' if num_unanswerable == 1 else 'are'} unanswerable{tools}{judge}"
    )


def _summary(bench: Bench, rows: Sequence[BenchRow], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    questions = bench.questions
    asked: dict[str, Any] = {
        "suite": bench.suite.model_dump(mode="json"),
        "file": ", ".join(map(str, bench.args.questions or ())),
        "count": len(questions),
        "inboxes": sorted({question.inbox for question in questions}),
        "answerable": sum(question.answerable for question in questions),
        "mode": bench.mode,
    }
    return {
        "policies": [row.model_dump(mode="json") for row in rows],
        "questions": asked,
        "comparisons": [one.model_dump(mode="json") for one in comparisons],
        "versions": {"python": platform.python_version(), "mailsleuth": version("mailsleuth")},
    }


def _print(
    args: argparse.Namespace, summary: dict[str, Any], comparisons: Sequence[Comparison], notes: Sequence[str]
) -> None:
    if args.json:
        print(json.dumps(summary))
        return
    out = console()
    out.print(policies_table(Summary.model_validate(summary)))
    for one in comparisons:
        only = plural(one.only_policy, "question")
        counts = f"{only} right only by {one.policy}, {one.only_baseline:,} only by {one.baseline}"
        out.print(safe_line(f"{counts}: p = {one.p_holm:.2g}"))
    for note in notes:
        out.print(safe_line(note))
    out.print(safe_line(f"wrote {args.out / 'report.html'}, report.md, summary.json and grades.jsonl"))


def _warn(text: str) -> None:
    if text:
        print(f"warning: {safe_line(text)}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
