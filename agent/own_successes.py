"""Imitating one's own successes: what the policy already did right becomes what it is trained to say.

Rejection-sampling fine-tuning (RAFT, arXiv 2304.06767; ReST-EM, arXiv 2312.06585): play, keep what earned enough,
imitate, play again. A warm start for a model that has no demonstrator. The tokens are the ones that were sampled.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from random import Random

import torch

from agent.arena import Arena
from agent.grpo.config import TrainConfig
from agent.grpo.groups import CUT, play_groups
from agent.make_grader import make_grader
from agent.model_folder import LoadedModel
from agent.policies.local import LocalPolicy
from agent.policy import TokenTrace
from agent.rollout import Rollout
from agent.sampling.torch_engine import TorchEngine
from agent.segment_attention import enable_segment_attention
from agent.sft import imitate_at_random
from inbox_env.errors import UsageError
from rewards.base import Reward

_SEED = 9_000_000  # apart from those of training


def own_successes(
    graded: Iterable[tuple[Rollout, Reward]], min_reward: float, *, max_per_question: int = 2
) -> list[TokenTrace]:
    """Return the traces of the rollouts that earned at least `min_reward`, at most so many of each question.

    Of one question the best come first, and of equal ones the shortest: an easy question that is always right must not
    outweigh a hard one, nor rambling a short way. What was cut by a limit or could not be scored is never among them.
    """
    by_question: dict[str, list[tuple[float, int, int, TokenTrace]]] = defaultdict(list)
    for number, (rollout, reward) in enumerate(graded):
        trace, trajectory = rollout.trace, rollout.trajectory
        if reward.value is None or reward.value < min_reward or trajectory.stop_reason in CUT:
            continue
        if trace is not None and any(trace.action_mask):
            by_question[trajectory.question_id].append((-reward.value, sum(trace.action_mask), number, trace))
    ranked = (sorted(found, key=lambda one: one[:3]) for found in by_question.values())
    return [trace for found in ranked for *_, trace in found[:max_per_question]]


def imitate_own_successes(config: TrainConfig, loaded: LoadedModel, arena: Arena) -> int:
    """Train on what the model itself does right, `warm_start.rounds` times over; returns the number of steps.

    Raises UsageError when nothing it does is good enough: then there is nothing to imitate.
    """
    settings = config.warm_start
    enable_segment_attention(loaded.model)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.01)
    num_done = 0
    for number in range(settings.rounds):
        traces = play_for_successes(config, loaded, arena, number)
        if not traces:
            what = f"none of the model's own episodes earned {settings.min_reward:g}"
            next_step = "lower warm_start.min_reward, or set warm_start.source to demonstrator"
            raise UsageError(69, what, where=f"round {number + 1}", next_step=next_step)
        last = settings.steps * (number + 1) // settings.rounds
        imitate_at_random(
            loaded.model,
            optimizer,
            traces,
            range(num_done + 1, last + 1),
            rate=settings.rate,
            seed=f"{config.run.seed}:own",
            max_tokens=config.grpo.micro_batch_tokens,
        )
        num_done = last
    return num_done


def play_for_successes(config: TrainConfig, loaded: LoadedModel, arena: Arena, number: int) -> list[TokenTrace]:
    """Return what round `number` is to imitate: the model plays training questions that follow from the seed."""
    settings, sampling = config.warm_start, config.sampling
    engine = TorchEngine(
        loaded.model,
        stop_token_ids=set(loaded.chat.stop_token_ids),
        max_rows=sampling.max_rows,
        max_context=sampling.max_context,
        temperature=sampling.temperature,
    )
    policy = LocalPolicy(
        engine,
        loaded.chat,
        prompt=config.model.prompt,
        seed=config.run.seed + _SEED + number,
        max_new_tokens=sampling.max_new_tokens,
    )
    everything = list(arena.questions)
    questions = Random(f"{config.run.seed}:own:{number}").sample(
        everything, min(settings.num_questions, len(everything))
    )
    groups = asyncio.run(
        play_groups(
            policy,
            arena,
            questions,
            config.grpo.group_size,
            make_grader(config.reward, config.judge, config.run.out / config.run.name, seed=config.run.seed),
            concurrency=sampling.max_rows,
            deadline_seconds=config.env.episode_seconds,
        )
    )
    graded = (pair for group in groups for pair in zip(group.rollouts, group.rewards, strict=True))
    return own_successes(graded, settings.min_reward)
