"""Look into runs and trajectory files: curves, groups, episodes step by step, tokens.

Opens the page of `mailsleuth play`, served on this machine alone, and follows a run while it trains. RUN is a run
folder or the folder of a benchmark, FILE.jsonl a file of trajectories; several stand beside each other, so that two
policies can be compared on the same question. Mails are shown where the run's mailbox is found, or given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from inbox_env.errors import ExitCode, UsageError
from scripts.page_options import add_page_arguments
from scripts.policy_choices import RUNS

if TYPE_CHECKING:
    from scripts.playground.run_source import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, nargs="*", metavar="RUN|FILE", help=f"(default: all runs in {RUNS})")
    parser.add_argument("--mailbox", type=Path, metavar="FILE", help="mailbox that the episodes were played in")
    parser.add_argument(
        "--questions", type=Path, action="append", default=[], metavar="FILE", help="their labels; repeatable"
    )
    parser.add_argument("--export", type=Path, metavar="FILE.html", help="write the first episodes there, and end")
    parser.add_argument("--id", metavar="ID", help="with --export: only the episodes of this question")
    add_page_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show and return the exit code."""
    from scripts.playground.run_source import Source  # the server's libraries are of no use to --help

    if args.id and not args.export:
        raise UsageError(1, "--id without --export", next_step="search the question on the page")
    sources = [Source(path, args.mailbox, args.questions) for path in args.source or _all_runs()]
    if args.export:
        return _export(args, sources[0])
    from scripts.playground.run_page import open_runs

    open_runs(args, sources)
    return ExitCode.OK


def _export(args: argparse.Namespace, source: Source) -> int:
    from scripts.playground.export_html import MAX_EXPORTED, export_page

    source.refresh()
    rows = [row for row in source.rows() if args.id in (None, row.question_id)]
    if not rows:
        raise UsageError(2, "no such episode", where=str(source.path), next_step="choose another --id")
    args.export.write_text(export_page(source, rows[:MAX_EXPORTED], num_all=len(rows)), encoding="utf-8")
    print(f"wrote {args.export}: {min(len(rows), MAX_EXPORTED)} of {len(rows)} episodes")
    return ExitCode.OK


def _all_runs() -> list[Path]:
    """Return all runs, the one written to last first."""
    folders = [path for path in RUNS.iterdir() if (path / "metrics.jsonl").is_file()] if RUNS.is_dir() else []
    if not folders:
        raise UsageError(3, f"no runs in {RUNS}", next_step="name a run folder or a trajectory file")
    return sorted(folders, key=lambda path: -(path / "metrics.jsonl").stat().st_mtime)
