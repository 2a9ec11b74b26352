"""What the benchmark's page says, before it is laid out: kinds, pairs of episodes, one row a question.

Knows nothing of HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory, Turn
from scripts.benchmark_grades import Grade
from scripts.benchmark_summary import BenchRow
from scripts.episode_view import FINAL_TOOL, call_line, ending_line
from scripts.terminal import safe, safe_line

MAX_RESULT_CHARS = 900
MAX_TURNS_SHOWN = 12
MARKS = {"not found": "n", "found, not read": "f", "read, but wrong": "w", "hallucinated": "h", "gave up": "g",
         "outage": "o"}  # fmt: skip

Episodes = Sequence[tuple[Trajectory, Grade]]


@dataclass(frozen=True, slots=True)
class Side:
    """One episode of a pair: its calls with their results, how it ended, and where its record is."""

    policy: str
    steps: tuple[tuple[str, str], ...]
    ending: str
    verdict: str
    is_right: bool
    grade: Grade


@dataclass(frozen=True, slots=True)
class PairView:
    """One question that one of two policies got right."""

    question: str
    gold: str
    kind: str
    first: Side
    second: Side


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One question in the list of all episodes; a cell is (mark, line of its record)."""

    question: Question
    cells: tuple[tuple[str, int], ...]


def short_name(label: str) -> str:
    """Return a policy's name without the folders that its model lies in."""
    head, colon, rest = label.partition("local:")
    return f"{head}{rest.rstrip('/').rpartition('/')[2]}" if colon else label.removeprefix("openai:http://")


def seconds_text(seconds: float) -> str:
    """Return a duration as a person reads it."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def kind_table(rows: Sequence[BenchRow], questions: Sequence[Question]) -> list[tuple[str, int, list[float]]]:
    """Return for each kind of question its name, its count and every row's accuracy."""
    counts = Counter(str(question.kind) for question in questions)
    accuracy = [{str(kind): value for kind, value in row.by_kind.items()} for row in rows]
    return [(kind, count, [by[kind] for by in accuracy]) for kind, count in sorted(counts.items())]


def matrix(policies: Sequence[Sequence[Grade]], questions: Sequence[Question]) -> list[QuestionRow]:
    """Return one row a question, with one cell for every policy and seed."""
    columns = []
    for grades in policies:
        for seed in dict.fromkeys(one.seed for one in grades):
            columns.append({one.question: one for one in grades if one.seed == seed})
    return [QuestionRow(question, tuple(_cell(column[question.id]) for column in columns)) for question in questions]


def pair_views(first: Episodes, second: Episodes, questions: Sequence[Question], count: int) -> list[PairView]:
    """Return at most `count` questions that only the second got right, then as many that only the first did.

    Questions that have an answer come first.
    """
    sides = [_first_seed(first), _first_seed(second)]
    by_id = {question.id: question for question in sorted(questions, key=lambda one: not one.answerable)}
    only: dict[bool, list[PairView]] = {True: [], False: []}
    for question_id, question in by_id.items():
        ours, theirs = (side[question_id] for side in sides)
        if ours[1].is_right != theirs[1].is_right and len(only[theirs[1].is_right]) < count:
            gold = "nothing in this inbox answers it" if question.answer is None else safe_line(question.answer)
            view = PairView(safe_line(question.question), gold, question.kind, _side(*ours), _side(*theirs))
            only[theirs[1].is_right].append(view)
    return only[True] + only[False]


def _cell(grade: Grade) -> tuple[str, int]:
    return ("" if grade.error is None else MARKS[grade.error]), grade.line


def _first_seed(episodes: Episodes) -> dict[str, tuple[Trajectory, Grade]]:
    seed = episodes[0][1].seed
    return {grade.question: (play, grade) for play, grade in episodes if grade.seed == seed}


def _side(play: Trajectory, grade: Grade) -> Side:
    steps = tuple(step for turn in play.turns[:MAX_TURNS_SHOWN] for step in _steps(turn))
    return Side(grade.policy, steps, ending_line(play), grade.error or "right", grade.is_right, grade)


def _steps(turn: Turn) -> list[tuple[str, str]]:
    if not turn.results:
        return [("no call", safe_line(turn.text, 200))]
    return [(call_line(one), _result(one.content)) for one in turn.results if one.name != FINAL_TOOL]


def _result(content: str) -> str:
    text = safe(content).strip()
    return text if len(text) <= MAX_RESULT_CHARS else f"{text[:MAX_RESULT_CHARS]}…"
