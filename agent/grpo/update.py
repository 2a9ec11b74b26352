"""The updates of one step over packed samples: forward, loss, backward, clip, and a step that the guard allows.

Knows nothing of groups, rewards or where the samples came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agent.grpo.distributed import ALONE, Peers
from agent.grpo.logprobs import action_logprobs
from agent.grpo.loss import LossConfig, LossStatistics, policy_loss
from agent.grpo.losses.averaging import StepSize
from agent.grpo.losses.mismatch import Mismatch, measure
from agent.grpo.packing import MicroBatch, pack
from agent.grpo.reference import Reference
from agent.grpo.samples import TrainingSample
from agent.grpo.scoring import settle
from agent.grpo.sharding import ShardedModel, ShardedOptimizer

Score = Callable[[MicroBatch], tuple[Tensor, Tensor]]
OnScored = Callable[[MicroBatch, Tensor], None]  # (micro-batch, logprobs [N])
Guard = Callable[[float, float], str]  # (loss, gradient norm) -> why the update must not be made, or ""


@dataclass(frozen=True, slots=True)
class Update:
    """What a step did; `is_finite` False means that an update was refused and the weights were left alone from there.

    `tensors` of a refused update: what went into its loss, by name, without a token of text.
    """

    loss: float
    grad_norm: float
    num_tokens: int
    statistics: LossStatistics
    is_finite: bool = True
    mismatch: Mismatch = field(default_factory=Mismatch)
    reason: str = "without a finite gradient"
    tensors: dict[str, Tensor] = field(default_factory=dict)


def refuse_not_finite(loss: float, grad_norm: float) -> str:
    """Refuse an update whose numbers are not finite."""
    return "" if math.isfinite(loss) and math.isfinite(grad_norm) else "without a finite gradient"


def ignore(_: MicroBatch, __: Tensor) -> None:
    """Take no note of a micro-batch."""


def update(
    model: PreTrainedModel,
    optimizer: Optimizer | ShardedOptimizer,
    samples: Sequence[TrainingSample],
    config: LossConfig,
    *,
    temperature: float,
    max_tokens: int,
    grad_clip: float,
    reference: Reference | None = None,
    num_updates: int = 1,
    max_sequence_tokens: int = 0,
    share_prefixes: bool = False,
    shards: ShardedModel | None = None,
    guard: Guard = refuse_not_finite,
    on_scored: OnScored = ignore,
    peers: Peers = ALONE,
) -> Update:
    """Take one optimiser step on each of `num_updates` equal shares of `samples`, up to the first that `guard` refuses.

    The shares are dealt out in turn, so that each has rollouts of every group. `max_tokens` bounds a micro-batch;
    `max_sequence_tokens` is the most that a sequence can sample (for a constant average); with `share_prefixes` the
    equal beginnings of sequences are read once. `samples` are this process's share; the result is that of all `peers`
    together. With `shards`, whose parameters `optimizer` has, those are trained and `model` takes the weights over.
    `on_scored` is called with every micro-batch and the logprobs of its forward pass, both on the CPU.
    """
    shares = (samples[number::num_updates] for number in range(num_updates))
    plan = [pack(share, max_tokens, share_prefixes=share_prefixes) for share in shares]
    plan, mismatch = settle(plan, model, config, temperature, reference, peers)
    done: list[Update] = []
    for batches in plan:
        size = StepSize(
            peers.sum(sum(batch.num_actions for batch in batches)),
            peers.sum(sum(batch.num_sequences for batch in batches)),
            max_sequence_tokens,
        )
        optimizer.zero_grad(set_to_none=True)
        score = partial(action_logprobs, model) if shards is None else shards
        num_passes = 0 if shards is None else max(peers.gather([len(batches)]))
        found = _backward(partial(score, temperature=temperature), model.device, batches, config, size, on_scored)
        _sum_gradients(model, shards, num_passes - len(batches), peers)
        found = found.with_peers(peers)
        norm = _clip(model if shards is None else shards, grad_clip)
        reason = guard(found.loss, norm)
        if not reason:
            optimizer.step()
        done.append(found.update(norm, reason, _tensors(batches, found.logprobs) if reason else {}))
        if reason:
            break
    return _together(done, mismatch if mismatch.num_tokens else done[0].mismatch)


@dataclass(slots=True)
class _Found:
    """Sums over the micro-batches of one update, and each one's logprobs."""

    loss: float = 0.0
    num_tokens: int = 0
    statistics: LossStatistics = field(default_factory=LossStatistics)
    mismatch: Mismatch = field(default_factory=Mismatch)
    logprobs: list[Tensor] = field(default_factory=list)

    def update(self, norm: float, reason: str, tensors: dict[str, Tensor]) -> Update:
        """Return the update that this was, or that was refused for `reason`."""
        means = self.num_tokens, self.statistics, not reason, self.mismatch
        return Update(self.loss, norm, *means, reason, tensors)

    def with_peers(self, peers: Peers) -> _Found:
        """Return the sums over all processes, with this one's logprobs."""
        loss, num_tokens = peers.sum(self.loss), peers.sum(self.num_tokens)
        return _Found(loss, num_tokens, peers.sum(self.statistics), peers.sum(self.mismatch), self.logprobs)


def _sum_gradients(model: PreTrainedModel, shards: ShardedModel | None, num_behind: int, peers: Peers) -> None:
    """Sum the gradients of all processes; shards do it in each pass, of which every process must make as many."""
    if shards is None:
        peers.sum_gradients(model)
    else:
        shards.idle(num_behind)


def _clip(model: nn.Module, grad_clip: float) -> float:
    """Clip the gradient's norm, over all shards if there are any, and return what it was."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def _backward(
    score: Score,
    device: torch.device,
    batches: Sequence[MicroBatch],
    config: LossConfig,
    size: StepSize,
    on_scored: OnScored,
) -> _Found:
    found = _Found()
    for packed in batches:
        batch = packed.to(device)
        logprobs, entropy = score(batch)
        loss, statistics = policy_loss(
            config,
            logprobs,
            batch.old_logprobs,
            batch.advantages,
            size,
            sequence_ids=batch.sequence_ids,
            weights=batch.weights,
            entropy=entropy,
            ref_logprobs=batch.ref_logprobs,
        )
        torch.autograd.backward(loss)
        found.loss += float(loss.detach())
        found.num_tokens += batch.num_tokens
        found.statistics += statistics
        found.logprobs.append(logprobs.detach().cpu())
        on_scored(packed, found.logprobs[-1])
        found.mismatch += measure(found.logprobs[-1], packed.old_logprobs)
    return found


def _together(done: Sequence[Update], mismatch: Mismatch) -> Update:
    """Return the step's updates as one: the mean loss, the largest gradient, and what the last one was refused for."""
    last = done[-1]
    return Update(
        loss=sum(one.loss for one in done) / len(done),
        grad_norm=max((one.grad_norm for one in done), key=lambda norm: math.inf if math.isnan(norm) else norm),
        num_tokens=sum(one.num_tokens for one in done),
        statistics=sum((one.statistics for one in done), LossStatistics()),
        is_finite=last.is_finite,
        mismatch=mismatch,
        reason=last.reason,
        tensors=last.tensors,
    )


def _tensors(batches: Sequence[MicroBatch], logprobs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what went into the loss, [N] over all micro-batches; sequences are numbered through."""
    starts = [sum(batch.num_sequences for batch in batches[:number]) for number in range(len(batches))]
    columns: dict[str, list[Tensor | None]] = {
        "logprobs": [*logprobs],
        "old_logprobs": [batch.old_logprobs for batch in batches],
        "advantages": [batch.advantages for batch in batches],
        "sequence_ids": [batch.sequence_ids + start for batch, start in zip(batches, starts, strict=True)],
        "weights": [batch.weights for batch in batches],
        "ref_logprobs": [batch.ref_logprobs for batch in batches],
    }
    whole = {name: [part for part in parts if part is not None] for name, parts in columns.items()}
    return {name: torch.cat(parts) for name, parts in whole.items() if parts}
