"""Playing episodes: a policy and an environment take turns until something stops them.

What goes wrong inside an episode is recorded in its trajectory, never raised: a bad rollout is data. Only when too
many go wrong is something raised (`check_errors`). Knows nothing of rewards, models or training.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.policy import Actor, Policy, PolicyFailure, TokenTrace, Usage
from inbox_env.actions import Action, InvalidToolCall, Observation, Opening, StopReason, ToolResult
from inbox_env.env import NO_CALL, InboxEnv
from inbox_env.errors import MailsleuthError, UpstreamError
from inbox_env.redaction import without_secrets
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn

OnTurn = Callable[[Turn], None]
OnDone = Callable[[Trajectory], None]

WARN_SHARE = 0.05
MIN_ERRORS = 3  # of fewer, no share says anything
_SKIPPED = "skipped: too many episodes before it ended in an error"


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
    turns: list[Turn] = []
    actor: Actor | None = None
    started, error, is_late = time.monotonic(), "", False
    try:
        actor = policy.start(opening)
        try:
            async with asyncio.timeout(deadline_seconds) as deadline:
                stop_reason = await _play(actor, env, turns, on_turn)
        finally:
            is_late = deadline.expired()
            actor.close()
    except MailsleuthError:
        raise  # our own or the user's mistake: it would hit every episode
    except (Exception, asyncio.CancelledError) as failure:
        if isinstance(failure, asyncio.CancelledError) and _is_cancelled():
            raise  # by the caller; otherwise what the policy waited for was cancelled: its worker is gone
        # A time-out of something else than our deadline is an outage.
        is_deadline = isinstance(failure, TimeoutError) and is_late
        stop_reason = StopReason.DEADLINE if is_deadline else StopReason.ERROR
        error = "" if is_deadline else _error_text(failure)
    seconds = time.monotonic() - started
    return Rollout(
        _trajectory(policy, env, opening, turns, stop_reason, error, seconds), actor.trace if actor else None
    )


async def rollout_many(
    policy: Policy,
    envs: Iterable[InboxEnv],
    *,
    concurrency: int = 256,
    deadline_seconds: float | None = None,
    fail_share: float | None = None,
    on_done: OnDone | None = None,
) -> list[Rollout]:
    """Return the rollouts of `envs` in their order, at most `concurrency` under way at once.

    `on_done` is called with each trajectory that was played, as its episode ends.

    When more than `fail_share` of them ended in an error, those that have not begun are marked so as well; what was
    played is kept, and `check_errors` says what to do about it.
    """
    envs = list(envs)
    gate = asyncio.Semaphore(concurrency)
    limit = len(envs) if fail_share is None else max(MIN_ERRORS - 1, int(fail_share * len(envs)))
    num_errors = 0

    async def play(env: InboxEnv) -> Rollout:
        nonlocal num_errors
        async with gate:
            if num_errors > limit:
                return Rollout(_trajectory(policy, env, env.opening(), [], StopReason.ERROR, _SKIPPED, 0.0), None)
            played = await rollout(policy, env, deadline_seconds=deadline_seconds)
            num_errors += played.trajectory.stop_reason is StopReason.ERROR
            if on_done:
                on_done(played.trajectory)
            return played

    return list(await asyncio.gather(*(play(env) for env in envs)))


def check_errors(trajectories: Sequence[Trajectory], fail_share: float) -> str:
    """Return a warning when 5 % or more of the episodes ended in an error, else nothing.

    Raises UpstreamError when more than `fail_share` did: what is learnt or reported from the rest would mislead.
    """
    errors = [one.error for one in trajectories if one.stop_reason is StopReason.ERROR and one.error != _SKIPPED]
    num_lost = sum(one.stop_reason is StopReason.ERROR for one in trajectories)
    if num_lost < MIN_ERRORS or num_lost < WARN_SHARE * len(trajectories):
        return ""
    common = Counter(errors).most_common(1)[0][0] if errors else _SKIPPED
    what = f"{num_lost} of {len(trajectories)} episodes ended in an error, most often: {common[:120]}"
    if num_lost > fail_share * len(trajectories):
        next_step = "mend the cause and run it again, or raise --fail-on-error"
        raise UpstreamError(70, what, next_step=next_step)
    return what


async def _play(actor: Actor, env: InboxEnv, turns: list[Turn], on_turn: OnTurn | None) -> StopReason:
    observation: Observation | None = None
    while True:
        started, before = time.monotonic(), actor.usage
        action = await actor.act(observation)
        seconds = time.monotonic() - started
        observation = Observation((), StopReason.MAX_TOKENS) if actor.is_truncated else env.step(action)
        turns.append(_turn(action, observation.results, seconds, actor.usage - before))
        if on_turn:
            on_turn(turns[-1])
        if observation.stop_reason is not None:
            return observation.stop_reason


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())


def _error_text(failure: BaseException) -> str:
    text = str(failure) if isinstance(failure, PolicyFailure) else f"{type(failure).__name__}: {failure}"
    return without_secrets(text)[:500]


def _trajectory(
    policy: Policy,
    env: InboxEnv,
    opening: Opening,
    turns: Sequence[Turn],
    stop_reason: StopReason,
    error: str,
    seconds: float,
) -> Trajectory:
    final = env.final
    return Trajectory(
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
        seconds=seconds,
    )


def _turn(action: Action, results: Sequence[ToolResult], seconds: float, usage: Usage) -> Turn:
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
    return Turn(
        text=text,
        results=tuple(records),
        seconds=seconds,
        num_tokens=usage.completion_tokens,
        num_prompt_tokens=usage.prompt_tokens,
    )
