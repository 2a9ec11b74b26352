"""Parts of a comparison: the same figures for the questions of each source alone, where a suite joins several.

Invented and real mail are not one population: what is right of both together says little. Knows nothing of how
episodes are played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode
from scripts.benchmark_contenders import Contender
from scripts.benchmark_grades import ERROR_KINDS, Grade
from scripts.benchmark_summary import BenchRow, Comparison, compare, interval, make_row
from scripts.report_svg import percent

Episodes = Sequence[tuple[Trajectory, Grade]]


class Part(BaseModel):
    """One source: its policies, and their comparisons with the baseline (Holm over those of this source)."""

    model_config = ConfigDict(frozen=True)

    source: str
    num_questions: int
    policies: tuple[BenchRow, ...]
    comparisons: tuple[Comparison, ...]

    def heading(self) -> tuple[str, ...]:
        """Return the first row of its table."""
        names = ("right", "95 %", "found", "read", "cited", "abstained right", *ERROR_KINDS)
        asked = f"{self.source}: {self.num_questions:,} questions"
        return (asked, *names, "only it right", "only baseline right", "p (Holm)")

    def cells(self) -> list[tuple[str, ...]]:
        """Return the other rows, the best policy first."""
        against = {one.policy: one for one in self.comparisons}
        ordered = sorted(self.policies, key=lambda row: -row.accuracy)
        return [_cells(row, against.get(row.name)) for row in ordered]


def make_parts(
    by_question: Mapping[str, str],
    contenders: Sequence[Contender],
    played: Mapping[str, Episodes],
    questions: Sequence[Question],
    baseline: str,
    mode: Mode,
    difference: float,
) -> list[Part]:
    """Return one part a source (`by_question`: its name by question's id); none when all are of one source."""
    names = list(dict.fromkeys(by_question[question.id] for question in questions))
    parts = []
    for name in names if len(names) > 1 else ():
        asked = [question for question in questions if by_question[question.id] == name]
        some = {
            label: [(play, one) for play, one in episodes if by_question[one.question] == name]
            for label, episodes in played.items()
        }
        grades = {label: [one for _, one in episodes] for label, episodes in some.items()}
        rows = [make_row(one, name, some[one.label], asked, mode) for one in contenders]
        comparisons = compare(grades, baseline, asked, difference)
        parts.append(Part(source=name, num_questions=len(asked), policies=tuple(rows), comparisons=tuple(comparisons)))
    return parts


def _cells(row: BenchRow, against: Comparison | None) -> tuple[str, ...]:
    shares = map(percent, (row.found, row.read, row.cited, row.abstained_right))
    errors = (str(row.errors[kind]) for kind in ERROR_KINDS)
    test = ("", "", "")
    if against is not None:
        test = (str(against.only_policy), str(against.only_baseline), f"{against.p_holm:.2g}")
    return (row.name, percent(row.accuracy), interval(row.ci95), *shares, *errors, *test)
