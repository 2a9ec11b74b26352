"""Write the report of a finished run.

Reads metrics.jsonl, summary.json, samples.jsonl and config.json of a run folder and writes report.md and a
report.html that stands alone: no script, no network.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from rich.box import SIMPLE
from rich.table import Table

from agent.evaluate import PolicyReport
from inbox_env.errors import ExitCode
from scripts.report_svg import bar_svg, chart_svg, percent
from scripts.report_views import ROLE_WORDS, charts, headline, in_order, sample_views, training_facts
from scripts.run_folder import RunFolder, Summary, read_run_folder
from scripts.terminal import console, safe, safe_line

NAME_WIDTH = 16
_MARKDOWN_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|<>~&])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, help="run folder, as `mailsleuth train` leaves it")


def run(args: argparse.Namespace) -> int:
    """Write both reports, print the table of policies, and return the exit code."""
    write_report(args.run)
    out = console()
    out.print(policies_table(read_run_folder(args.run).summary))
    out.print(f"wrote {args.run / 'report.md'} and {args.run / 'report.html'}")
    return ExitCode.OK


def write_report(run: Path) -> None:
    """Write report.md and report.html into the run folder; raises UsageError when the run left no summary."""
    folder = read_run_folder(run)
    view = _view(folder)
    for name in ("report.md", "report.html"):
        text = _environment().get_template(f"{name}.j2").render(view)
        beside = run / f"{name}.partial"
        beside.write_text(text, encoding="utf-8")
        beside.replace(run / name)


def policies_table(summary: Summary) -> Table:
    """Return the policies side by side, for a terminal of 80 columns."""
    table = Table(box=SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("policy", min_width=NAME_WIDTH, overflow="fold")
    for name in ("right", "95 %", "found", "wrong", "rightly\nabstained", "turns", "invalid"):
        table.add_column(name, justify="right", no_wrap=True)
    split = None
    for policy in in_order(summary.policies):
        if policy.split != split:
            split = policy.split
            table.add_section()
            table.add_row(f"{safe_line(split, 20)}: {policy.num_questions:,}", style="dim")
        table.add_row(
            _folded(safe_line(policy.name, 40)),
            percent(policy.accuracy),
            "-".join(f"{100 * bound:.0f}" for bound in policy.ci95),
            percent(policy.found),
            percent(policy.answered_wrong),
            percent(policy.abstained_right),
            f"{policy.mean_turns:.1f}",
            percent(policy.invalid_calls),
            style="bold" if policy.role == "trained" else None,
        )
    return table


def _folded(name: str) -> str:
    """Return a long name on several lines, broken after a +, a / or a blank where that is possible."""
    lines = [""]
    for part in re.findall(r"[^+/ ]*[+/ ]?", name):
        if lines[-1] and len(lines[-1] + part) > NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _view(folder: RunFolder) -> dict[str, Any]:
    summary = folder.summary
    return {
        "name": folder.name,
        "headline": headline(summary.policies),
        "policies": in_order(summary.policies),
        "role_words": ROLE_WORDS,
        "charts": charts(folder),
        "samples": sample_views(folder.samples),
        "facts": training_facts(summary.train),
        "config": folder.config,
        "versions": summary.versions,
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scripts", "templates"),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": percent,
        "bar": _bar,
        "chart": chart_svg,
        "md": _markdown,
        "fence": _fence,
    }
    environment.filters.update(filters)
    return environment


def _visible(value: Any) -> Any:
    """Every text that a template prints passes here; drawings are markup already and hold no text from outside."""
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _bar(policy: PolicyReport) -> str:
    return bar_svg(policy.accuracy, policy.ci95[0], policy.ci95[1], policy.role)


def _markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _MARKDOWN_MARKS.sub(r"\\\1", safe_line(text))


def _fence(text: str) -> str:
    """Text as a code block whose fence no run of backticks inside can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{safe(text).rstrip()}\n{fence}"
