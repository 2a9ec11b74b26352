"""Look into runs and trajectory files: curves, groups, episodes step by step, tokens.

Opens the page of `mailsleuth play`, served on this machine alone, and follows a run while it trains. RUN is a run
folder or the folder of a benchmark, FILE.jsonl a file of trajectories; several stand beside each other, so that two
policies can be compared on the same question. Mails are shown where the run's mailbox is found, or given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inbox_env.errors import ExitCode, UsageError
from scripts.page_options import add_page_arguments
from scripts.policy_choices import RUNS
from scripts.terminal import plural, safe_line

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
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="with --export: without the first N episodes")
    add_page_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show and return the exit code."""
    from scripts.playground.run_source import Source  # the server's libraries are of no use to --help

    if (args.id or args.skip) and not args.export:
        option = "--id" if args.id else "--skip"
        raise UsageError(1, f"{option} without --export", next_step="search the question on the page")
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
    if not 0 <= args.skip < len(rows):
        raise UsageError(4, f"--skip is from 0 to {len(rows) - 1} here", where=str(source.path))
    chosen = rows[args.skip : args.skip + MAX_EXPORTED]
    args.export.write_text(export_page(source, chosen, num_all=len(rows)), encoding="utf-8")
    for loss in source.losses():
        print(safe_line(f"warning: {loss}"), file=sys.stderr)
    print(f"wrote {args.export}: {len(chosen):,} of {plural(len(rows), 'episode')}")
    if (end := args.skip + len(chosen)) < len(rows):
        print(f"the next are written with --skip {end}, those of one question with --id")
    return ExitCode.OK


def _all_runs() -> list[Path]:
    """Return all runs, the one written to last first."""
    folders = [path for path in RUNS.iterdir() if (path / "metrics.jsonl").is_file()] if RUNS.is_dir() else []
    if not folders:
        raise UsageError(3, f"no runs in {RUNS}", next_step="name a run folder or a trajectory file")
    return sorted(folders, key=lambda path: -(path / "metrics.jsonl").stat().st_mtime)
