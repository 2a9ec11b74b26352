"""Supervised warm start: demonstrations as token traces, drills, and one optimiser step on them.

Pure imitation: it teaches the moves of a demonstrator, and is bounded by it. Knows nothing of rewards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agent.chat_format import ChatFormat
from agent.data_parallel import sum_gradients
from agent.grpo.logprobs import hidden_states, summed_nll
from agent.grpo.packing import MicroBatch, pack
from agent.grpo.samples import TrainingSample
from agent.policy import Policy, TokenTrace
from agent.prompts import system_prompt
from agent.rollout import rollout
from inbox_env.actions import Action, StopReason, ToolCall
from inbox_env.env import InboxEnv
from inbox_env.trajectory import ToolResultRecord, Trajectory

STEP_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Imitation:
    """What one supervised step did: mean negative log-likelihood (nats a token), gradient norm, token counts."""

    loss: float
    grad_norm: float
    num_tokens: int
    num_actions: int


async def demonstrate(policy: Policy, env: InboxEnv, chat: ChatFormat, prompt: str) -> TokenTrace:
    """Return the trace of one scripted episode, its actions marked as sampled (with logprob 0)."""
    opening = env.opening()
    played = await rollout(policy, env)
    start = chat.prompt_ids(system_prompt(prompt, opening), opening.question)
    return trace_of(played.trajectory, start, chat)


def trace_of(trajectory: Trajectory, prompt_ids: list[int], chat: ChatFormat, *, last_only: bool = False) -> TokenTrace:
    """Return the tokens of a text trajectory; `last_only` marks only the last action as something to learn.

    Raises ValueError for an episode that an error ended: what a broken script left is nothing to imitate.
    """
    if trajectory.stop_reason is StopReason.ERROR:
        raise ValueError(f"the demonstration failed: {trajectory.error}")
    trace = TokenTrace()
    trace.extend(prompt_ids)
    turns = [turn for turn in trajectory.turns if all(result.arguments is not None for result in turn.results)]
    for number, turn in enumerate(turns, 1):
        ids = chat.action_ids(_action(turn.results))
        is_learnt = not last_only or number == len(turns)
        trace.extend(ids, [0.0] * len(ids) if is_learnt else None)
        if number < len(turns):
            trace.extend(chat.observation_ids([result.content for result in turn.results]))
    return trace


def first_action(trace: TokenTrace) -> TokenTrace:
    """Return `trace` up to the end of its first action."""
    start = trace.action_mask.index(1)
    end = next((at for at in range(start, len(trace.action_mask)) if not trace.action_mask[at]), len(trace.action_mask))
    return TokenTrace(trace.token_ids[:end], trace.action_mask[:end], trace.logprobs[:end])


def repeat_drill(random: Random, vocab_size: int, first_id: int, length: int) -> TokenTrace:
    """Return a random block repeated up to `length` tokens, of which all but the first block are to be learnt.

    Random tokens leave nothing to learn but copying; ids below `first_id` (control tokens) do not occur.
    """
    block = [random.randrange(first_id, vocab_size) for _ in range(random.randint(4, length // 2))]
    ids = (block * (length // len(block) + 1))[:length]
    trace = TokenTrace()
    trace.extend(ids[: len(block)])
    trace.extend(ids[len(block) :], [0.0] * (length - len(block)))
    return trace


def imitate(
    model: PreTrainedModel,
    optimizer: Optimizer,
    traces: Sequence[TokenTrace],
    *,
    context_weight: float = 0.0,
    max_tokens: int = 8192,
    grad_clip: float = 1.0,
) -> Imitation:
    """Take one optimiser step towards `traces`; the model was prepared by `enable_segment_attention`.

    What the demonstrator said weighs 1 a token, what it was told `context_weight`: predicting questions, hits and
    mails teaches a model from scratch to copy long before demonstrations alone do. A step whose gradient is not
    finite leaves the weights alone. Of several processes (`agent.data_parallel`) each gives its own traces.
    """
    optimizer.zero_grad(set_to_none=True)
    totals = torch.zeros(4)  # summed weight, nats, tokens read, tokens to learn
    for packed in pack([TrainingSample.from_trace(trace, advantage=0.0) for trace in traces], max_tokens):
        totals += _backward(model, packed.to(model.device), context_weight)
    parameters = list(model.parameters())
    sum_gradients(parameters, totals)
    weight, nats, num_tokens, num_actions = totals.tolist()
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad /= weight
    norm = float(nn.utils.clip_grad_norm_(parameters, grad_clip))
    if math.isfinite(norm):
        optimizer.step()
    return Imitation(nats / num_actions, norm, round(num_tokens), round(num_actions))


def imitate_at_random(
    model: PreTrainedModel,
    optimizer: Optimizer,
    traces: Sequence[TokenTrace],
    steps: Iterable[int],
    *,
    rate: Callable[[int], float],
    seed: str,
    max_tokens: int,
    on_step: Callable[[int, Imitation], None] | None = None,
) -> None:
    """Take the numbered steps on traces drawn at random, `STEP_TOKENS` of them each.

    A step's draw follows from `seed` and its number alone; `rate` gives its learning rate.
    """
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        random = Random(f"{seed}:{step}")
        batch = fill((random.choice(traces) for _ in count()), STEP_TOKENS)
        done = imitate(model, optimizer, batch, max_tokens=max_tokens)
        if on_step:
            on_step(step, done)


def _backward(model: PreTrainedModel, batch: MicroBatch, context_weight: float) -> Tensor:
    """Add the gradient of the batch's weighted summed loss; returns [4]: weight, nats of actions, tokens, actions."""
    states = hidden_states(model, batch)[0]
    spoken = summed_nll(model, states[batch.action_positions], batch.target_ids)
    loss, weight = spoken, float(batch.num_actions)
    if context_weight:
        positions, targets = _context(batch)
        loss = loss + context_weight * summed_nll(model, states[positions], targets)
        weight += context_weight * len(positions)
    torch.autograd.backward(loss)
    return torch.tensor([weight, float(spoken.detach()), batch.num_tokens, batch.num_actions])


def _context(batch: MicroBatch) -> tuple[Tensor, Tensor]:
    """Return the positions whose next token was not sampled, and those tokens.

    A segment's last position always predicts a sampled token, so that no position looks across a segment's edge.
    """
    is_context = torch.ones(batch.num_tokens, dtype=torch.bool, device=batch.token_ids.device)
    is_context[batch.action_positions] = False
    positions = is_context.nonzero()[:, 0]
    return positions, batch.token_ids[0, positions + 1]


def fill(traces: Iterator[TokenTrace], num_tokens: int) -> list[TokenTrace]:
    """Return traces from the stream until they hold `num_tokens` tokens."""
    batch: list[TokenTrace] = []
    held = 0
    while held < num_tokens:
        batch.append(next(traces))
        held += len(batch[-1].token_ids)
    return batch


def _action(results: Sequence[ToolResultRecord]) -> Action:
    return Action(tuple(ToolCall(result.name, result.arguments or {}) for result in results))
