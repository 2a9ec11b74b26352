"""A few test questions as they were played before and after training, graded: what the report shows side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.evaluation_folder import EvaluationFolder
    from inbox_env.questions import Question
    from inbox_env.trajectory import Trajectory
    from rewards.grader import Grader


def write_samples(
    path: Path, grader: Grader, evaluation: EvaluationFolder, questions: Sequence[Question], count: int = 5
) -> None:
    """Keep the first questions (two of them unanswerable or corrected, if there are) as JSON, one a line."""
    before, after = evaluation.trajectories("base"), evaluation.trajectories("trained")
    special = [question for question in questions if question.kind in ("unanswerable", "distractor")][:2]
    plain = [question for question in questions if question not in special][: count - len(special)]
    with path.open("w", encoding="utf-8") as file:
        for question in plain + special:
            row = {
                "question_id": question.id,
                "question": question.model_dump(mode="json"),
                "before": _graded(before[question.id], question, grader),
                "after": _graded(after[question.id], question, grader),
            }
            file.write(json.dumps(row) + "\n")


def _graded(trajectory: Trajectory, question: Question, grader: Grader) -> dict[str, Any]:
    return asyncio.run(grader.grade(trajectory, question)).recorded().model_dump(mode="json")
