"""What a benchmark writes down: rows, paired comparisons, unreachable questions, and the Markdown report.

Computed from trajectories on file alone. Knows nothing of how episodes are played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from agent.arena import Arena
from agent.evaluate import PolicyReport, summarise
from agent.statistics import clustered_bootstrap, holm, mcnemar_exact, needed_questions, pass_at_k, wilson
from agent.terms import Terms
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode, Outcome
from scripts.benchmark_contenders import Contender
from scripts.benchmark_grades import ERROR_KINDS, Grade
from scripts.benchmark_injection import HEAD as ORDER_HEAD
from scripts.benchmark_injection import OrderRow
from scripts.benchmark_published import Published
from scripts.benchmark_terms import HEAD as TERMS_HEAD
from scripts.benchmark_terms import cells as terms_cells
from scripts.report_svg import percent
from scripts.terminal import safe_line

NUM_IDS_SHOWN = 5


class BenchRow(PolicyReport):
    """One policy: its report over all seeds, intervals, errors, and what an episode took.

    Shares are over all its episodes; `num_questions` counts questions, `num_correct` episodes.
    """

    num_seeds: int
    """How often each question was played."""
    temperature: float
    """Of sampling; 0 for what is not sampled."""
    pass_at: dict[int, float]
    """Share of questions that one of k plays gets right (unbiased estimate), by k."""
    errors: dict[str, int]
    """Episodes that are not right, by what went wrong."""
    num_answered: int
    """Episodes that ended with an answer, right or wrong."""
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
    cost_per_1000: float | None
    """Dollars for 1,000 episodes: litellm's prices, or measured machine time at the stated price; null: not known."""
    terms: Terms | None
    """Prompt (null: a script, which reads none) and limits that it played under; null: its episodes do not say."""


class Comparison(BaseModel):
    """One policy against the baseline on the same questions: exact McNemar test, Holm over all comparisons."""

    model_config = ConfigDict(frozen=True)

    policy: str
    baseline: str
    only_policy: int
    only_baseline: int
    difference: float
    p_value: float
    p_holm: float
    needed_questions: int


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


def make_row(
    contender: Contender,
    split: str,
    episodes: Sequence[tuple[Trajectory, Grade]],
    questions: Sequence[Question],
    mode: Mode,
    *,
    cost: float | None = None,
    terms: Terms | None = None,
) -> BenchRow:
    """Return the row of one contender from its episodes, which hold every question once a seed."""
    report = summarise(contender.label, contender.role, split, [play for play, _ in episodes], questions, mode)
    grades = [one for _, one in episodes]
    seconds = [one.seconds for one in grades]
    median, p95 = np.quantile(seconds, [0.5, 0.95])
    num_seeds, errors = len(contender.seeds), Counter(one.error for one in grades)
    by_question = Counter(one.question for one in grades if one.is_right)
    # plays of one question are not independent, so that the interval counts questions and not episodes
    row = report.model_dump() | {"num_questions": len(questions)}
    row["ci95"] = wilson(round(report.num_correct / num_seeds), len(questions))
    return BenchRow(
        **row,
        num_seeds=num_seeds,
        temperature=contender.temperature,
        ci95_inbox=clustered_bootstrap([float(one.is_right) for one in grades], [one.inbox for one in grades]),
        pass_at={k: _mean_pass(by_question, questions, num_seeds, k) for k in range(1, num_seeds + 1)},
        errors={kind: errors[kind] for kind in ERROR_KINDS},
        num_answered=sum(one.outcome in (Outcome.RIGHT, Outcome.WRONG) for one in grades),
        seconds_median=round(float(median), 4),
        seconds_p95=round(float(p95), 4),
        num_prompt_tokens=sum(one.num_prompt_tokens for one in grades),
        num_tokens=sum(one.num_tokens for one in grades),
        cost_per_1000=cost,
        terms=terms,
    )


def compare(
    grades: Mapping[str, Sequence[Grade]], baseline: str, questions: Sequence[Question], difference: float
) -> list[Comparison]:
    """Return every policy but the baseline compared with it; `grades` is by policy's label.

    With several seeds a policy is right on a question when it is so in more than half of its plays. `difference` is
    what the needed number of questions is told for.
    """
    right = {name: _majority(rows, questions) for name, rows in grades.items()}
    others = [name for name in grades if name != baseline]
    counts = [(_only(right[name], right[baseline]), _only(right[baseline], right[name])) for name in others]
    p_values = [mcnemar_exact(*pair) for pair in counts]
    return [
        Comparison(
            policy=name,
            baseline=baseline,
            only_policy=ours,
            only_baseline=theirs,
            difference=(ours - theirs) / len(questions),
            p_value=p,
            p_holm=adjusted,
            needed_questions=needed_questions(difference, (ours + theirs) / len(questions)),
        )
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


def markdown(
    title: str,
    rows: Sequence[BenchRow],
    comparisons: Sequence[Comparison],
    published: Sequence[Published],
    notes: Sequence[str],
    orders: Sequence[OrderRow] = (),
    parts: Sequence[Sequence[Sequence[str]]] = (),
) -> str:
    """Return the report: tables of policies, `parts`, comparisons, planted mails, errors, published figures; notes."""
    head = ("policy", "right", "95 %", "95 % by inbox", "found", "read", "cited", "wrong", "abstained rightly",
            "abstained wrongly", "turns", "invalid", "median s", "p95 s", "$ per 1,000")  # fmt: skip
    table = [head, *map(_row_cells, sorted(rows, key=lambda row: -row.accuracy))]
    lines = [f"# {_cell(title)}", "", *_table(table), ""]
    for part in parts:
        lines += [*_table(part), ""]
    if comparisons:
        names = ("policy", "baseline", "only policy right", "only baseline right", "difference", "p (McNemar)",
                 "p (Holm)", "questions needed")  # fmt: skip
        lines += [*_table([names, *map(_comparison_cells, comparisons)]), ""]
    if orders:
        lines += [*_table([ORDER_HEAD, *(row.cells() for row in orders)]), ""]
    wrong = [(row.name, *(str(row.errors[kind]) for kind in ERROR_KINDS)) for row in rows]
    lines += [*_table([("episodes not right", *ERROR_KINDS), *wrong]), ""]
    lines += [*_table([TERMS_HEAD, *(terms_cells(row.name, row.terms) for row in rows)]), ""]
    if published:
        shown = ("published elsewhere, not measured here", "right", "95 %", "seconds", "$ per 1,000", "source")
        lines += [*_table([shown, *map(_published_cells, published)]), ""]
    return "\n".join([*lines, *(f"{_cell(note)}\n" for note in notes)])


def _row_cells(row: BenchRow) -> tuple[str, ...]:
    shares = (row.found, row.read, row.cited, row.answered_wrong, row.abstained_right, row.abstained_wrong)
    return (
        row.name,
        percent(row.accuracy),
        interval(row.ci95),
        interval(row.ci95_inbox),
        *map(percent, shares),
        f"{row.mean_turns:.1f}",
        percent(row.invalid_calls),
        f"{row.seconds_median:.3f}",
        f"{row.seconds_p95:.3f}",
        dollars(row.cost_per_1000),
    )


def _comparison_cells(one: Comparison) -> tuple[str, ...]:
    counts = (str(one.only_policy), str(one.only_baseline))
    p_values = (f"{one.p_value:.2g}", f"{one.p_holm:.2g}")
    return (one.policy, one.baseline, *counts, f"{100 * one.difference:+.1f}", *p_values, f"{one.needed_questions:,}")


def _published_cells(one: Published) -> tuple[str, ...]:
    right = "" if one.accuracy is None else percent(one.accuracy)
    seconds = "" if one.seconds is None else f"{one.seconds:g}"
    return (one.name, right, interval(one.ci95) if one.ci95 else "", seconds, dollars(one.cost), one.source)


def dollars(amount: float | None) -> str:
    """Return an amount as a person reads it; a dash where it is not known."""
    if amount is None:
        return "-"
    if 0 < amount < 0.001:
        return "< 0.001"
    return f"{amount:.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"


def _majority(grades: Sequence[Grade], questions: Sequence[Question]) -> list[bool]:
    right, plays = Counter(one.question for one in grades if one.is_right), Counter(one.question for one in grades)
    return [2 * right[question.id] > plays[question.id] for question in questions]


def _mean_pass(right: Mapping[str, int], questions: Sequence[Question], num_plays: int, k: int) -> float:
    return sum(pass_at_k(right[question.id], num_plays, k) for question in questions) / len(questions)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _cell(text: str) -> str:
    return safe_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def interval(bounds: tuple[float, float]) -> str:
    """Return an interval in whole percent."""
    return "-".join(f"{100 * bound:.0f}" for bound in bounds)


def _only(first: Sequence[bool], second: Sequence[bool]) -> int:
    return sum(ours and not theirs for ours, theirs in zip(first, second, strict=True))
