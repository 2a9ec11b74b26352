"""Logprobs of the sampled tokens of a micro-batch, and the entropy they were drawn with.

Only positions that predict a sampled token reach the vocabulary matrix, a chunk at a time, and no chunk's logits
outlive it: the backward pass makes them again. Knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from agent.grpo.packing import MicroBatch

CHUNK_TOKENS = 512


def action_logprobs(
    model: PreTrainedModel, batch: MicroBatch, temperature: float = 1.0, chunk_tokens: int = CHUNK_TOKENS
) -> tuple[Tensor, Tensor]:
    """Return float32 (logprobs [N], entropy [N]) in nats; gradients flow through the logprobs only.

    `model` was prepared by `enable_segment_attention`. `temperature` must be the sampler's, so that the
    importance ratio of an unchanged policy is 1.
    """
    hidden = hidden_states(model, batch)[0].index_select(0, batch.action_positions)
    return chunked_logprobs(hidden, model.get_output_embeddings(), batch.target_ids, temperature, chunk_tokens)


def hidden_states(model: PreTrainedModel, batch: MicroBatch) -> Tensor:
    """Return the decoder's last hidden states [1, T, D]."""
    output = model.get_decoder()(
        input_ids=batch.token_ids,
        position_ids=batch.position_ids,
        segment_lengths=batch.segment_lengths,
        use_cache=False,
    )
    states: Tensor = output.last_hidden_state
    return states


def summed_nll(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor) -> Tensor:
    """Return the summed negative log-likelihood, in nats, of `target_ids` [N] after `hidden` [N, D].

    torch's chunked loss makes the gradient on the way forward, which takes half the time of `chunked_logprobs`.
    """
    head = model.get_output_embeddings()
    options = LinearCrossEntropyOptions(batch_chunk_size=CHUNK_TOKENS)
    return linear_cross_entropy(
        hidden, head.weight, target_ids, linear_bias=head.bias, reduction="sum", options=options
    )


def chunked_logprobs(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    target_ids: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = CHUNK_TOKENS,
) -> tuple[Tensor, Tensor]:
    """Return (logprobs [N], entropy [N]) of `target_ids` [N] under softmax(head(hidden [N, D]) / temperature)."""
    chunks = zip(torch.split(hidden, chunk_tokens), torch.split(target_ids, chunk_tokens), strict=True)
    parts = [
        checkpoint(_logprobs, states, head, targets, temperature, use_reentrant=False) for states, targets in chunks
    ]
    if not parts:
        return hidden.new_zeros(0, dtype=torch.float32), hidden.new_zeros(0, dtype=torch.float32)
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _logprobs(
    hidden: Tensor, head: Callable[[Tensor], Tensor], target_ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logits = head(hidden).float()
    if temperature != 1.0:
        logits = logits / temperature
    log_norm = logits.logsumexp(-1)
    with torch.no_grad():
        entropy = log_norm - (logits - log_norm[:, None]).exp_().mul_(logits).sum(-1)
    return logits.gather(-1, target_ids[:, None])[:, 0] - log_norm, entropy
