"""Playing a step: its questions in order, groups without spread replaced, each process its share.

Knows nothing of tensors or optimisers.
"""

from __future__ import annotations

from agent.arena import Arena
from agent.grpo.config import TrainConfig
from agent.grpo.distributed import Peers
from agent.grpo.grading import Overlong, declared_range
from agent.grpo.groups import Group, play_groups
from agent.grpo.question_order import QuestionOrder
from agent.policy import Policy
from rewards.base import RewardFn


async def play_step(
    policy: Policy, arena: Arena, order: QuestionOrder, reward_fn: RewardFn, config: TrainConfig, peers: Peers
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
            reward_fn,
            concurrency=sampling.max_rows,
            deadline_seconds=config.env.episode_seconds,
            reward_range=declared_range(config.reward),
            overlong=Overlong(sampling.max_context, grpo.overlong_tokens, grpo.overlong_penalty),
        )
        groups += peers.gather(mine)
    return groups
