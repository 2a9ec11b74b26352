"""What is settled about a step's tokens before its first update, in one pass without gradient.

The trainer's own logprobs and entropies at the weights that sampled, the reference's logprobs, and what follows from
them for every token: what ratios are taken against, how much it weighs, what KL takes off its advantage.
Knows nothing of optimisers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agent.grpo.distributed import ALONE, Peers
from agent.grpo.logprobs import action_logprobs
from agent.grpo.loss import LossConfig
from agent.grpo.losses.entropy_mask import entropy_mask, entropy_threshold
from agent.grpo.losses.kl import reward_penalty
from agent.grpo.losses.mismatch import Mismatch, correction_weights, measure
from agent.grpo.packing import MicroBatch
from agent.grpo.reference import Reference

Plan = list[list[MicroBatch]]  # the micro-batches of each update of a step


def settle(
    plan: Plan,
    model: PreTrainedModel,
    config: LossConfig,
    temperature: float,
    reference: Reference | None,
    peers: Peers = ALONE,
) -> tuple[Plan, Mismatch]:
    """Return the step's micro-batches with all that `config` asks for, and how far sampler and trainer are apart.

    Without need of it the model is not run, and the mismatch is empty.
    """
    mismatch = Mismatch()
    if reference is not None:
        plan = _each(plan, lambda batch: _with_reference(batch, model, reference, temperature))
    if config.needs_scoring(len(plan)):
        plan, mismatch = _score(plan, model, config, temperature, peers)
    if config.kl_in_reward:
        plan = _penalise(plan, config.kl_in_reward, peers)
    return plan, mismatch


def _each(plan: Plan, change: Callable[[MicroBatch], MicroBatch]) -> Plan:
    return [[change(batch) for batch in batches] for batches in plan]


def _with_reference(batch: MicroBatch, model: PreTrainedModel, reference: Reference, temperature: float) -> MicroBatch:
    return replace(batch, ref_logprobs=reference.logprobs(batch.to(model.device), temperature).cpu())


def _score(
    plan: Plan, model: PreTrainedModel, config: LossConfig, temperature: float, peers: Peers
) -> tuple[Plan, Mismatch]:
    entropies: list[Tensor] = []
    mismatch = Mismatch()

    def score(batch: MicroBatch) -> MicroBatch:
        nonlocal mismatch
        with torch.no_grad():
            logprobs, entropy = (part.cpu() for part in action_logprobs(model, batch.to(model.device), temperature))
        entropies.append(entropy)
        weights = _correction(config, logprobs, batch)
        mismatch += measure(logprobs, batch.old_logprobs, weights)
        old = batch.old_logprobs if config.old_logprobs == "sampler" else logprobs
        return replace(batch, old_logprobs=old, weights=weights)

    plan = _each(plan, score)
    if config.top_entropy < 1:
        plan = _mask_by_entropy(plan, entropies, config.top_entropy, peers)
    return plan, peers.sum(mismatch)


def _correction(config: LossConfig, logprobs: Tensor, batch: MicroBatch) -> Tensor | None:
    if config.mismatch == "none":
        return None
    return correction_weights(
        config.mismatch,
        logprobs,
        batch.old_logprobs,
        batch.sequence_ids,
        floor=config.mismatch_floor,
        cap=config.mismatch_cap,
    )


def _mask_by_entropy(plan: Plan, entropies: Sequence[Tensor], top_share: float, peers: Peers) -> Plan:
    everywhere = peers.gather(entropies)
    threshold = entropy_threshold(torch.cat(everywhere), top_share) if everywhere else 0.0
    left = iter(entropies)

    def mask(batch: MicroBatch) -> MicroBatch:
        kept = entropy_mask(next(left), threshold)
        return replace(batch, weights=kept if batch.weights is None else kept * batch.weights)

    return _each(plan, mask)


def _penalise(plan: Plan, weight: float, peers: Peers) -> Plan:
    """Return the plan with KL towards the reference taken off the advantages, centred over the whole step."""
    batches = [batch for part in plan for batch in part]
    num_tokens = peers.sum(sum(batch.num_actions for batch in batches))
    difference = peers.sum(sum(float((batch.old_logprobs - _ref(batch)).sum()) for batch in batches))
    difference /= max(num_tokens, 1)

    def penalise(batch: MicroBatch) -> MicroBatch:
        penalty = reward_penalty(batch.old_logprobs, _ref(batch), difference, weight)
        return replace(batch, advantages=batch.advantages + penalty)

    return _each(plan, penalise)


def _ref(batch: MicroBatch) -> Tensor:
    if batch.ref_logprobs is None:
        raise ValueError("loss.kl_in_reward needs a reference")
    return batch.ref_logprobs
