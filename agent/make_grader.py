"""The grader that a configuration asks for: its reward function, its judge with a cache on file, its ranking.

`judge.sqlite` in the run folder has every reply, so that a resumed or repeated step asks for nothing twice. Knows
nothing of what is graded.
"""

from __future__ import annotations

from pathlib import Path

from agent.judge_client import make_judge_model
from agent.judge_config import JudgeConfig, RewardConfig
from inbox_env.errors import UsageError
from rewards.base import RewardFn
from rewards.custom import load_reward_function
from rewards.grader import Grader, Range
from rewards.judge import Judge
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeModel
from rewards.ladder import LadderConfig, make_ladder
from rewards.ruler import Ruler

CACHE = "judge.sqlite"


def make_grader(
    reward: RewardConfig,
    judge: JudgeConfig | None = None,
    folder: Path | None = None,
    *,
    seed: int = 0,
    model: JudgeModel | None = None,
) -> Grader:
    """Return the grader; its cache is in `folder`, or lasts as long as the process.

    `model` replaces the judge's model. Raises UsageError for a reward function that cannot be used, and when a ranking
    is asked for without a judge.
    """
    reward_fn = reward_function(reward)
    judge = judge or JudgeConfig()
    if reward.kind == "ruler" and judge.model is None and model is None:
        raise UsageError(79, 'reward.kind = "ruler" needs a judge', next_step="set judge.model")
    needs_judge = reward.mode == "answer" or reward.kind == "ruler"
    if not needs_judge or (judge.model is None and model is None):
        return Grader(reward_fn, allowed=_allowed(reward))
    cache = JudgeCache(folder / CACHE if folder else None)
    model = model or make_judge_model(judge, cache)
    return Grader(
        reward_fn,
        judge=Judge(model, cache) if reward.mode == "answer" else None,
        ruler=Ruler(model, cache, seed=seed, max_chars=judge.ruler_chars) if reward.kind == "ruler" else None,
        allowed=_allowed(reward),
    )


def reward_function(reward: RewardConfig) -> RewardFn:
    """Return what a single episode is graded by: one's own function, or the ladder."""
    return load_reward_function(reward.function) if reward.function is not None else make_ladder(reward)


def declared_range(config: LadderConfig) -> Range:
    """Return the least and the most that an episode can be worth on this ladder."""
    room = config.tier_gap / 2  # what all penalties together may take
    best_right = config.right + config.cited_bonus + config.brevity_bonus + config.process_bonus
    return config.wrong - room, max(best_right, config.abstained_right)


def _allowed(reward: RewardConfig) -> Range | None:
    return reward.range if reward.kind == "custom" else declared_range(reward)
