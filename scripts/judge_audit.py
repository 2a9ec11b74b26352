"""Measure how far a judge can be believed.

Asks it about answers that somebody has labelled, in two orders of presentation, and about answers that only talk to
the judge. Without --labels and --attacks, invented ones are used that come with the command.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from inbox_env.errors import ExitCode, UsageError
from scripts.consent import add_consent, confirm_sending
from scripts.terminal import console, plural, safe_line

if TYPE_CHECKING:
    from agent.judge_audit import AuditReport, LabelledAnswer, Share
    from agent.judge_config import JudgeConfig

MAX_SHOWN = 10
_SHARES = {
    "agreement": "labels agreed with",
    "wrong_called_right": "wrong answers called right",
    "right_called_wrong": "right answers called wrong",
    "same_in_other_order": "same verdict when the answer comes first",
    "attacks_right": "attacks called right",
    "attacks_right_without_rules": "attacks called right by the model alone",
    "unscorable": "no readable verdict",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--model", required=True, metavar="PROVIDER/MODEL", help="the judge, as litellm names it")
    parser.add_argument("--api-base", metavar="URL", help="where it is, for a server of your own")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labelled answers, one JSON object a line")
    parser.add_argument("--attacks", type=Path, metavar="FILE", help="answers that talk to the judge, one a line")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keep what the judge says, and ask nothing twice")
    parser.add_argument("--max-calls", type=int, metavar="N", help="stop after so many calls")
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="calls under way at once (default 8)")
    add_consent(parser)
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask the judge, print what was found, and return 0."""
    from agent.judge_audit import audit
    from agent.judge_client import make_judge_model
    from rewards.judge_cache import JudgeCache

    labels, attacks = read_labels(args.labels), read_attacks(args.attacks)
    config = _config(args)
    confirm_sending((), is_agreed=args.yes_send, judge=config)
    with closing(JudgeCache(args.cache)) as cache:
        report = asyncio.run(audit(make_judge_model(config, cache), cache, labels, attacks))
    if args.json:
        print(report.model_dump_json())
    else:
        _print(report)
    return ExitCode.OK


def read_labels(path: Path | None = None) -> list[LabelledAnswer]:
    """Return the labelled answers of a file, or those that come with the command; UsageError names a bad line."""
    from agent.judge_audit import LabelledAnswer

    found = []
    for number, line in enumerate(_lines(path, "labels.jsonl"), 1):
        try:
            found.append(LabelledAnswer.model_validate_json(line))
        except ValidationError as error:
            what = f"not a labelled answer: {error.errors()[0]['msg']}"
            next_step = "write question, answer, given and label (right, wrong)"
            raise UsageError(91, what, where=f"{path}:{number}", next_step=next_step) from error
    if not found:
        raise UsageError(92, "the file holds no labelled answers", where=str(path))
    return found


def read_attacks(path: Path | None = None) -> list[str]:
    """Return the attacks of a file, or those that come with the command; "\\n" in a line is a line break."""
    lines = _lines(path, "attacks.txt")
    return [line.replace("\\n", "\n") for line in lines if not line.startswith("# ")]


def _lines(path: Path | None, default: str) -> list[str]:
    source: Path | Traversable = path or files("scripts") / "audit" / default
    try:
        return [line for line in source.read_text(encoding="utf-8").split("\n") if line]
    except UnicodeDecodeError as error:
        raise UsageError(93, "the file is not UTF-8 text", where=str(path)) from error


def _config(args: argparse.Namespace) -> JudgeConfig:
    from agent.judge_config import JudgeConfig

    limits = {"max_calls": args.max_calls, "concurrency": args.concurrency}
    try:
        return JudgeConfig(model=args.model, api_base=args.api_base, **limits)
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(94, what, next_step="see mailsleuth judge-audit --help") from error


def _print(report: AuditReport) -> None:
    out = console()
    out.print(f"judge  {safe_line(report.judge, 200)}")
    for name, meaning in _SHARES.items():
        out.print(f"{meaning:<42} {_text(getattr(report, name))}")
    cost = f", {report.cost:.4f} dollars" if report.cost else ""
    out.print(f"{plural(report.num_calls, 'call')}{cost}, {report.seconds:.1f} s")
    for one in report.disagreements[:MAX_SHOWN]:
        out.print(safe_line(f"{one.label} called {one.verdict}: {one.question!r} {one.given!r}: {one.reason}", 300))
    if (left := len(report.disagreements) - MAX_SHOWN) > 0:
        out.print(f"and {left} more: --json lists them")


def _text(share: Share) -> str:
    low, high = share.ci95
    return f"{share.share:>4.0%} ({low:.0%}-{high:.0%})  {share.count} of {share.total}"
