"""Whether what is trained on is what was said: the tokens of a rollout held against its own trajectory.

The sampled tokens must parse to the recorded actions, the others must be what prompt and tool results encode to.
Needs the chat format, not the model. Knows nothing of rewards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from agent.chat_format import ChatFormat
from agent.grpo.findings import Finding, Severity, found
from agent.policy import TokenTrace
from agent.rollout import Rollout
from inbox_env.actions import Action, InvalidToolCall, StopReason
from inbox_env.trajectory import Trajectory, Turn

_CUT_SHORT = (StopReason.ERROR, StopReason.DEADLINE)


def examine_tokens(
    rollouts: Sequence[Rollout], chat: ChatFormat, step: int, lines: Sequence[int] | None = None
) -> list[Finding]:
    """Return at most one finding of each kind; `evidence` counts lines of the step's trajectory file from 1.

    `lines` says which they are of these rollouts, if not the first ones.
    """
    masks, tokens = [], []
    for line, rollout in zip(lines or range(1, len(rollouts) + 1), rollouts, strict=True):
        if rollout.trace is None:
            continue
        masks += [f"line {line}: {what}" for what in mask_problems(rollout.trace, rollout.trajectory, chat)]
        tokens += [f"line {line}: {what}" for what in token_problems(rollout.trace, rollout.trajectory, chat)]
    findings = []
    if masks:
        evidence = f"step {step}: " + "; ".join(masks[:5])
        findings.append(found("masks_differ_from_text", Severity.ERROR, evidence, step))
    if tokens:
        evidence = f"step {step}: " + "; ".join(tokens[:5])
        findings.append(found("tokens_not_rederivable", Severity.ERROR, evidence, step))
    return findings


def mask_problems(trace: TokenTrace, trajectory: Trajectory, chat: ChatFormat) -> Iterator[str]:
    """Yield where the sampled tokens are not the recorded actions."""
    lengths = {len(trace.token_ids), len(trace.action_mask), len(trace.logprobs)}
    if len(lengths) != 1:
        yield "tokens, mask and logprobs differ in length"
        return
    if any(logprob > 1e-6 or not math.isfinite(logprob) for logprob in trace.logprobs):
        yield "logprobs above 0 or not finite"
    spans = [ids for is_sampled, ids in _segments(trace) if is_sampled]
    num_turns = sum(turn.num_tokens > 0 for turn in trajectory.turns)
    is_cut = trajectory.stop_reason in _CUT_SHORT
    if len(spans) != num_turns and not (is_cut and len(spans) == num_turns + 1):
        yield f"{len(spans)} sampled spans but {num_turns} turns"
        return
    turns = [turn for turn in trajectory.turns if turn.num_tokens > 0]
    for number, (ids, turn) in enumerate(zip(spans, turns, strict=False), 1):
        if len(ids) != turn.num_tokens:
            yield f"turn {number}: {len(ids)} tokens are trained on, {turn.num_tokens} were sampled"
        elif not _says(chat.parse(ids), turn):
            yield f"turn {number}: the tokens say something else than the record"


def token_problems(trace: TokenTrace, trajectory: Trajectory, chat: ChatFormat) -> Iterator[str]:
    """Yield where prompt and observations are not what their text encodes to."""
    given = [ids for is_sampled, ids in _segments(trace) if not is_sampled]
    if not given:
        return
    if trajectory.question not in chat.decode(given[0]):
        yield "the prompt does not hold the question"
    for number, (ids, turn) in enumerate(zip(given[1:], trajectory.turns, strict=False), 1):
        if ids != chat.observation_ids([result.content for result in turn.results]):
            yield f"after turn {number}: the results encode to other tokens"


def _segments(trace: TokenTrace) -> list[tuple[bool, list[int]]]:
    runs = groupby(zip(trace.action_mask, trace.token_ids, strict=False), key=lambda pair: pair[0])
    return [(bool(is_sampled), [token for _, token in pairs]) for is_sampled, pairs in runs]


def _says(action: Action, turn: Turn) -> bool:
    """Whether a turn is the record of `action`; one that a limit cut has no results."""
    text = action.text or "\n".join(call.raw for call in action.calls if isinstance(call, InvalidToolCall))
    if text != turn.text:
        return False
    for call, result in zip(action.calls, turn.results, strict=False):
        if isinstance(call, InvalidToolCall):
            if result.arguments is not None:
                return False
        elif (call.name, call.arguments) != (result.name, result.arguments):
            return False
    return True
