"""Verdicts for a comparison: what the deterministic matcher leaves undecided is put to a judge, and kept.

The judge's replies are on file in the folder, so that no answer is paid for twice. Knows nothing of figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.evaluation_folder import EvaluationFolder
from agent.judge_config import JudgeConfig, RewardConfig
from agent.make_grader import make_grader
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode


def judge_config(model: str | None) -> JudgeConfig | None:
    """Return the judge that a model's name asks for; None without one."""
    return JudgeConfig(model=model) if model else None


def judge_episodes(
    evaluation: EvaluationFolder,
    keys: Sequence[str],
    questions: Sequence[Question],
    config: JudgeConfig,
    folder: Path,
    mode: Mode,
) -> None:
    """Write a verdict to each episode that needs one; raises UpstreamError when the judge fails for good."""
    grader = make_grader(RewardConfig(mode=mode), config, folder)
    plays = [(key, evaluation.trajectories(key, with_errors=True)) for key in keys]
    asked = [(play[question.id], question) for _, play in plays for question in questions if question.id in play]
    trajectories, matching = [one for one, _ in asked], [question for _, question in asked]
    judged = iter(asyncio.run(grader.judge_all(trajectories, matching)))
    for key, play in plays:
        with_verdicts: dict[str, Trajectory] = {q.id: next(judged) for q in questions if q.id in play}
        if any(with_verdicts[name] != play[name] for name in with_verdicts):
            evaluation.replace(key, play | with_verdicts)
