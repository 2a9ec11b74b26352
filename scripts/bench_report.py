"""The benchmark as one HTML page that stands alone: no script, no address outside, every text escaped.

Every figure of it is counted from episodes that the page names: policy, seed and question, file and line. Knows nothing
of how they were played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from scripts.bench_report_plots import Dot, scatter_svg
from scripts.bench_report_views import PairView, QuestionRow, kind_table, matrix, pair_views, seconds_text, short_name
from scripts.benchmark_grades import ERROR_KINDS, Grade
from scripts.benchmark_injection import OrderRow
from scripts.benchmark_parts import Part
from scripts.benchmark_published import Published
from scripts.benchmark_summary import BenchRow, Comparison, dollars
from scripts.benchmark_terms import HEAD as TERMS_HEAD
from scripts.benchmark_terms import cells as terms_cells
from scripts.report_svg import bar_svg, percent
from scripts.report_views import ROLE_WORDS
from scripts.terminal import safe

MAX_PAIRS = 6  # of each side


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Everything the page shows; `played` holds the episodes by policy's label."""

    title: str
    about: str
    rows: Sequence[BenchRow]
    comparisons: Sequence[Comparison]
    published: Sequence[Published]
    notes: Sequence[str]
    played: Mapping[str, Sequence[tuple[Trajectory, Grade]]]
    questions: Sequence[Question]
    baseline: str
    detect: float
    versions: Mapping[str, str]
    orders: Sequence[OrderRow] = ()
    parts: Sequence[Part] = ()

    @property
    def ordered(self) -> list[BenchRow]:
        """The best first."""
        return sorted(self.rows, key=lambda row: (-row.accuracy, row.name))

    @property
    def contestant(self) -> str | None:
        """Whom the baseline's episodes are set beside: the best that does not know the answers."""
        others = [row.name for row in self.ordered if row.name != self.baseline and row.role not in _PRIVILEGED]
        return others[0] if others else None


_PRIVILEGED = ("oracle",)


def write_html(path: Path, report: BenchReport) -> None:
    """Write the page, beside its place and moved into it."""
    beside = path.with_name(path.name + ".partial")
    beside.write_text(render(report), encoding="utf-8")
    beside.replace(path)


def render(report: BenchReport) -> str:
    """Return the page."""
    return _environment().get_template("bench.html.j2").render(_view(report))


def _view(report: BenchReport) -> dict[str, Any]:
    rows = report.ordered
    shown = [row for row in rows if row.role not in _PRIVILEGED]
    return {
        "title": report.title,
        "about": report.about,
        "num_questions": len(report.questions),
        "num_inboxes": len({question.inbox for question in report.questions}),
        "baseline": next(row for row in report.rows if row.name == report.baseline),
        "best": next((row for row in rows if row.name == report.contestant), None),
        "test": next((one for one in report.comparisons if one.policy == report.contestant), None),
        "rows": rows,
        "role_words": {**ROLE_WORDS, "base": "model"},  # nothing here was played before and after a training
        "num_seeds": max(row.num_seeds for row in rows),
        "comparisons": sorted(report.comparisons, key=lambda one: one.p_holm),
        "detect": report.detect,
        "latency": scatter_svg(
            [_dot(row, row.seconds_median) for row in shown], "seconds an episode, median", seconds_text
        ),
        "cost": scatter_svg([_dot(row, row.cost_per_1000 or 0) for row in shown], "dollars for 1,000 episodes", _price),
        "kinds": kind_table(rows, report.questions),
        "error_kinds": ERROR_KINDS,
        "pairs": _pairs(report),
        "orders": report.orders,
        "parts": [(part.heading(), part.cells()) for part in report.parts],
        "published": report.published,
        "notes": report.notes,
        "warnings": [note for note in report.notes if note.startswith("warning: ")],
        "terms_head": TERMS_HEAD[1:],
        "terms": [(row.role, row.name, terms_cells(row.name, row.terms)[1:]) for row in rows],
        "columns": _columns(report),
        "matrix": _matrix(report),
        "versions": report.versions,
    }


def _pairs(report: BenchReport) -> list[PairView]:
    if report.contestant is None:
        return []
    first, second = report.played[report.baseline], report.played[report.contestant]
    return pair_views(first, second, report.questions, MAX_PAIRS)


def _columns(report: BenchReport) -> list[tuple[str, str, str]]:
    """One column of the list of episodes: short name, full name with seed, file."""
    columns = []
    for label, episodes in report.played.items():
        for seed, file in dict.fromkeys((one.seed, one.file) for _, one in episodes):
            columns.append((short_name(label), f"{label}, seed {seed}", file))
    return columns


def _matrix(report: BenchReport) -> list[QuestionRow]:
    return matrix([[one for _, one in episodes] for episodes in report.played.values()], report.questions)


def _dot(row: BenchRow, x: float) -> Dot:
    return Dot(short_name(row.name), x, row.accuracy, *row.ci95, row.role)


def _price(amount: float) -> str:
    return f"${amount:.7f}".rstrip("0").rstrip(".") if amount < 1 else f"${amount:g}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scripts", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "percent": percent,
            "bar": _bar,
            "dollars": dollars,
            "short": short_name,
            "seconds": seconds_text,
            "p": _p_value,
        }
    )
    return environment


def _visible(value: Any) -> Any:
    """Every text that the template prints passes here; drawings are markup already and escape their texts."""
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _bar(row: BenchRow) -> str:
    return bar_svg(row.accuracy, row.ci95[0], row.ci95[1], row.role)


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"
