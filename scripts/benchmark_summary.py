"""What a benchmark writes down: rows, paired comparisons, unreachable questions, and the Markdown report.

Computed from trajectories on file alone. Knows nothing of how episodes are played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from agent.arena import Arena
from agent.evaluate import PolicyReport
from agent.statistics import clustered_bootstrap, holm, mcnemar_exact
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode, correctness
from scripts.report_svg import percent
from scripts.terminal import safe_line

NUM_IDS_SHOWN = 5

Plays = Mapping[str, Trajectory]


class BenchRow(PolicyReport):
    """One policy: its report, the interval when whole inboxes are drawn anew, and the time of an episode."""

    ci95_inbox: tuple[float, float]
    """Cluster-bootstrap interval of the accuracy, by inbox; a point when there is one inbox."""
    seconds_median: float
    """Half of the episodes took at most this long, at the concurrency they were played with."""
    seconds_p95: float
    """95 % of them took at most this long."""
    num_prompt_tokens: int
    """Tokens that the model read, over all episodes; an API reads the whole conversation every turn."""
    num_tokens: int
    """Tokens that it wrote."""


class Comparison(BaseModel):
    """One policy against the baseline on the same questions: exact McNemar test, Holm over all comparisons."""

    model_config = ConfigDict(frozen=True)

    policy: str
    baseline: str
    only_policy: int
    only_baseline: int
    p_value: float
    p_holm: float


class Unreachable(BaseModel):
    """Answerable questions whose gold mails no policy can open; they are scored all the same."""

    model_config = ConfigDict(frozen=True)

    missing: int
    later: int
    ids: tuple[str, ...]

    def line(self) -> str:
        """Return one sentence."""
        if not self.ids:
            return "unreachable: none, every gold mail is in the mailbox and dated before its question"
        shown = ", ".join(self.ids[:NUM_IDS_SHOWN]) + (", ..." if len(self.ids) > NUM_IDS_SHOWN else "")
        return (
            f"unreachable: {len(self.ids)} ({self.missing} with a gold mail that is not in the mailbox, "
            f"{self.later} with one dated after the question): {shown}"
        )


def make_row(report: PolicyReport, plays: Plays, questions: Sequence[Question], mode: Mode) -> BenchRow:
    """Return the row of one policy, whose plays hold every question."""
    right = [float(correctness(plays[question.id], question, mode)) for question in questions]
    seconds = [plays[question.id].seconds for question in questions]
    turns = [turn for question in questions for turn in plays[question.id].turns]
    median, p95 = np.quantile(seconds, [0.5, 0.95])
    return BenchRow(
        **report.model_dump(),
        ci95_inbox=clustered_bootstrap(right, [question.inbox for question in questions]),
        seconds_median=round(float(median), 4),
        seconds_p95=round(float(p95), 4),
        num_prompt_tokens=sum(turn.num_prompt_tokens for turn in turns),
        num_tokens=sum(turn.num_tokens for turn in turns),
    )


def compare(plays: Mapping[str, Plays], baseline: str, questions: Sequence[Question], mode: Mode) -> list[Comparison]:
    """Return every policy but the baseline compared with it; `plays` is by policy, then by question id."""
    right = {
        name: [correctness(played[question.id], question, mode) for question in questions]
        for name, played in plays.items()
    }
    others = [name for name in plays if name != baseline]
    counts = [(_only(right[name], right[baseline]), _only(right[baseline], right[name])) for name in others]
    p_values = [mcnemar_exact(*pair) for pair in counts]
    return [
        Comparison(policy=name, baseline=baseline, only_policy=ours, only_baseline=theirs, p_value=p, p_holm=adjusted)
        for name, (ours, theirs), p, adjusted in zip(others, counts, p_values, holm(p_values), strict=True)
    ]


def find_unreachable(arena: Arena, questions: Sequence[Question]) -> Unreachable:
    """Return which questions nobody can answer: every gold mail is needed for kind "multi", any other needs one."""
    missing, later, ids = 0, 0, []
    for question in questions:
        inbox = arena.inbox(question.inbox)
        seen = [inbox.read(message_id, as_of=question.as_of) is not None for message_id in question.message_ids]
        if not seen or all(seen) or (any(seen) and question.kind != "multi"):
            continue
        ids.append(question.id)
        there = [inbox.read(message_id, as_of=None) is not None for message_id in question.message_ids]
        missing += not all(there)
        later += all(there)
    return Unreachable(missing=missing, later=later, ids=tuple(ids))


def markdown(title: str, rows: Sequence[BenchRow], comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """Return the report: a table of policies, one of comparisons, and notes below."""
    head = ("policy", "right", "95 %", "95 % by inbox", "found", "read", "cited", "wrong", "abstained right",
            "abstained wrong", "turns", "invalid", "median s", "p95 s")  # fmt: skip
    table = [head, *map(_row_cells, sorted(rows, key=lambda row: -row.accuracy))]
    lines = [f"# {_cell(title)}", "", *_table(table), ""]
    if comparisons:
        names = ("policy", "baseline", "only policy right", "only baseline right", "p (McNemar)", "p (Holm)")
        lines += [*_table([names, *map(_comparison_cells, comparisons)]), ""]
    return "\n".join([*lines, *(f"{_cell(note)}\n" for note in notes)])


def _row_cells(row: BenchRow) -> tuple[str, ...]:
    shares = (row.found, row.read, row.cited, row.answered_wrong, row.abstained_right, row.abstained_wrong)
    return (
        row.name,
        percent(row.accuracy),
        _interval(row.ci95),
        _interval(row.ci95_inbox),
        *map(percent, shares),
        f"{row.mean_turns:.1f}",
        percent(row.invalid_calls),
        f"{row.seconds_median:.3f}",
        f"{row.seconds_p95:.3f}",
    )


def _comparison_cells(one: Comparison) -> tuple[str, ...]:
    counts = (str(one.only_policy), str(one.only_baseline))
    return (one.policy, one.baseline, *counts, f"{one.p_value:.2g}", f"{one.p_holm:.2g}")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _cell(text: str) -> str:
    return safe_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _interval(bounds: tuple[float, float]) -> str:
    return "-".join(f"{100 * bound:.0f}" for bound in bounds)


def _only(first: Sequence[bool], second: Sequence[bool]) -> int:
    return sum(ours and not theirs for ours, theirs in zip(first, second, strict=True))
