"""Playing a step: its questions in order, groups without spread replaced, each process its share.

Knows nothing of tensors or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.arena import Arena
from agent.grpo.config import TrainConfig
from agent.grpo.distributed import Peers
from agent.grpo.grading import Overlong, judge_rollouts
from agent.grpo.groups import Group, play_groups
from agent.grpo.question_order import QuestionOrder
from agent.policy import Policy
from agent.rollout import Rollout, rollout_many
from inbox_env.questions import Question
from rewards.grader import Grader


async def play_step(
    policy: Policy, arena: Arena, order: QuestionOrder, grader: Grader, config: TrainConfig, peers: Peers
) -> list[Group]:
    """Return the groups of a step, whoever played them; those without spread are replaced a bounded number of times."""
    grpo, sampling = config.grpo, config.sampling
    groups: list[Group] = []
    for _ in range(grpo.max_refills + 1):
        num_missing = grpo.questions_per_step - sum(group.has_spread for group in groups)
        if num_missing <= 0:
            break
        mine = await play_groups(
            policy,
            arena,
            peers.share(order.take(num_missing)),
            grpo.group_size,
            grader,
            concurrency=sampling.max_rows,
            deadline_seconds=config.env.episode_seconds,
            overlong=Overlong(sampling.max_context, grpo.overlong_tokens, grpo.overlong_penalty),
        )
        groups += peers.gather(mine)
    return groups


async def play_once(
    policy: Policy, arena: Arena, questions: Sequence[Question], grader: Grader, config: TrainConfig
) -> list[Rollout]:
    """Return one rollout of each question, with a verdict where the answer needs one."""
    rollouts = await rollout_many(
        policy,
        arena.envs(questions),
        concurrency=config.sampling.max_rows,
        deadline_seconds=config.env.episode_seconds,
    )
    return await judge_rollouts(grader, rollouts, questions)
