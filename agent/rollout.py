"""Playing episodes: a policy and an environment take turns until something stops them.

What goes wrong inside an episode is recorded in its trajectory, never raised: a bad rollout is data.
Knows nothing of rewards, models or training.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.policy import Actor, Policy, TokenTrace
from inbox_env.actions import Action, InvalidToolCall, Observation, StopReason, ToolResult
from inbox_env.env import NO_CALL, InboxEnv
from inbox_env.errors import MailsleuthError
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn

OnTurn = Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A finished episode: its trajectory, and what a token policy sampled (None for scripted policies)."""

    trajectory: Trajectory
    trace: TokenTrace | None


async def rollout(
    policy: Policy, env: InboxEnv, *, deadline_seconds: float | None = None, on_turn: OnTurn | None = None
) -> Rollout:
    """Return one played episode; `on_turn` is called after each turn, `deadline_seconds` bounds the whole."""
    opening = env.opening()
    actor = policy.start(opening)
    turns: list[Turn] = []
    started, error = time.monotonic(), ""
    try:
        async with asyncio.timeout(deadline_seconds) as deadline:
            stop_reason = await _play(actor, env, turns, on_turn)
    except MailsleuthError:
        raise  # our own or the user's mistake: it would hit every episode
    except Exception as failure:  # a time-out of something else than our deadline is an outage
        is_late = isinstance(failure, TimeoutError) and deadline.expired()
        stop_reason = StopReason.DEADLINE if is_late else StopReason.ERROR
        error = "" if is_late else f"{type(failure).__name__}: {failure}"[:500]
    finally:
        actor.close()
    final = env.final
    trajectory = Trajectory(
        question_id=opening.question_id,
        inbox=env.question.inbox,
        policy=policy.name,
        question=opening.question,
        opening=f"{opening.owner}, {opening.asked_on}",
        turns=tuple(turns),
        stop_reason=stop_reason,
        answer=final.answer if final else None,
        sources=final.sources if final else (),
        unknown_sources=final.unknown_sources if final else (),
        error=error,
        seconds=time.monotonic() - started,
    )
    return Rollout(trajectory, actor.trace)


async def rollout_many(
    policy: Policy, envs: Iterable[InboxEnv], *, concurrency: int = 256, deadline_seconds: float | None = None
) -> list[Rollout]:
    """Return the rollouts of `envs` in their order, at most `concurrency` under way at once."""
    gate = asyncio.Semaphore(concurrency)

    async def play(env: InboxEnv) -> Rollout:
        async with gate:
            return await rollout(policy, env, deadline_seconds=deadline_seconds)

    return list(await asyncio.gather(*(play(env) for env in envs)))


async def _play(actor: Actor, env: InboxEnv, turns: list[Turn], on_turn: OnTurn | None) -> StopReason:
    observation: Observation | None = None
    while True:
        started = time.monotonic()
        num_before = _num_sampled(actor)
        action = await actor.act(observation)
        seconds = time.monotonic() - started
        observation = Observation((), StopReason.MAX_TOKENS) if actor.is_truncated else env.step(action)
        turns.append(_turn(action, observation.results, seconds, _num_sampled(actor) - num_before))
        if on_turn:
            on_turn(turns[-1])
        if observation.stop_reason is not None:
            return observation.stop_reason


def _num_sampled(actor: Actor) -> int:
    return sum(actor.trace.action_mask) if actor.trace else 0


def _turn(action: Action, results: Sequence[ToolResult], seconds: float, num_tokens: int) -> Turn:
    records = [
        ToolResultRecord(
            name=result.name,
            arguments=None if isinstance(call, InvalidToolCall) else call.arguments,
            content=result.content,
            listed=result.listed,
            opened=result.opened,
            is_error=result.is_error,
        )
        for call, result in zip(action.calls or (NO_CALL,), results, strict=False)
    ]
    text = action.text or "\n".join(call.raw for call in action.calls if isinstance(call, InvalidToolCall))
    return Turn(text=text, results=tuple(records), seconds=seconds, num_tokens=num_tokens)
