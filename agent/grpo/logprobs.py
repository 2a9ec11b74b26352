"""Logprobs of the sampled tokens of a micro-batch, and the entropy they were drawn with.

Only positions that predict a sampled token reach the vocabulary matrix, a chunk at a time, and no chunk's logits
outlive it: the backward pass makes them again. Knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear, linear_cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from agent.grpo.packing import MicroBatch, pack
from agent.grpo.samples import TrainingSample
from agent.segment_attention import packed_arguments

CHUNK_TOKENS = 512  # at most; of a large vocabulary fewer
CHUNK_LOGITS = 1 << 24  # 64 MiB in float32
CHUNK_LOGITS_CUDA = 1 << 26
FUSED_WEIGHTS = 1 << 24  # entries of a vocabulary matrix from which its gradient is summed without a temporary


def action_logprobs(
    model: PreTrainedModel, batch: MicroBatch, temperature: float = 1.0, chunk_tokens: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return float32 (logprobs [N], entropy [N]) in nats; gradients flow through the logprobs only.

    `model` was prepared by `enable_segment_attention`. `temperature` must be the sampler's, so that the
    importance ratio of an unchanged policy is 1.
    """
    hidden = hidden_states(model, batch)[0].index_select(0, batch.action_positions)
    return chunked_logprobs(hidden, model.get_output_embeddings(), batch.target_ids, temperature, chunk_tokens)


@torch.no_grad()
def prompt_logprobs(model: PreTrainedModel, ids: Sequence[int]) -> tuple[float, ...]:
    """Return the model's own logprobs of `ids[1:]` at temperature 1, by the pass that training makes."""
    mask = (0,) + (1,) * (len(ids) - 1)
    (batch,) = pack([TrainingSample(tuple(ids), mask, (0.0,) * len(ids), 0.0)], len(ids))
    logprobs, _ = action_logprobs(model, batch.to(model.device))
    return tuple(logprobs.tolist())


def hidden_states(model: PreTrainedModel, batch: MicroBatch) -> Tensor:
    """Return the decoder's last hidden states [1, T, D]."""
    output = model.get_decoder()(
        input_ids=batch.token_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        **packed_arguments(model, batch.segment_lengths, batch.segment_parents),
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
    chunk_tokens: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (logprobs [N], entropy [N]) of `target_ids` [N] under softmax(head(hidden [N, D]) / temperature).

    A plain linear head takes a backward pass of its own; any other (adapted, quantised, sharded) is called again for
    it. Without `chunk_tokens`, chunks are as large as the vocabulary lets them be.
    """
    if not len(hidden):
        return hidden.new_zeros(0, dtype=torch.float32), hidden.new_zeros(0, dtype=torch.float32)
    if _is_plain(head):
        size = chunk_tokens or _chunk_tokens(hidden, head.weight)
        arguments = hidden, head.weight, head.bias, target_ids, temperature, size
        logprobs, entropy = _LinearLogprobs.apply(*arguments)  # type: ignore[no-untyped-call]  # torch leaves it so
        return logprobs, entropy
    size = chunk_tokens or CHUNK_TOKENS // 4
    chunks = zip(torch.split(hidden, size), torch.split(target_ids, size), strict=True)
    parts = [
        checkpoint(_logprobs, head, states, targets, temperature, use_reentrant=False) for states, targets in chunks
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _is_plain(head: object) -> TypeGuard[nn.Linear]:
    """Return whether calling `head` is nothing but a product with its own, whole, weight."""
    return (
        type(head) is nn.Linear
        and type(head.weight) in (nn.Parameter, Tensor)
        and not (head._forward_hooks or head._forward_pre_hooks)
    )


def _chunk_tokens(hidden: Tensor, weight: Tensor) -> int:
    budget = CHUNK_LOGITS_CUDA if hidden.is_cuda else CHUNK_LOGITS
    return max(1, min(CHUNK_TOKENS, budget // len(weight)))


def _logprobs(
    head: Callable[[Tensor], Tensor], hidden: Tensor, target_ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logits = _scaled(head(hidden), temperature)
    log_norm = logits.logsumexp(-1)
    picked = logits.gather(-1, target_ids[:, None])[:, 0]
    with torch.no_grad():
        entropy = log_norm - (logits - log_norm[:, None]).exp_().mul_(logits).sum(-1)
    return picked - log_norm, entropy


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    return logits.float() if temperature == 1.0 else logits.float() / temperature


class _LinearLogprobs(torch.autograd.Function):
    """The same as `_logprobs` of a linear head, chunk by chunk, with the gradient written down.

    It keeps one number for each token, not the logits: d logprob / d logits = onehot(target) - softmax(logits).
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float, size: int
    ) -> tuple[Tensor, Tensor]:
        """Return (logprobs [N], entropy [N])."""
        logprobs, entropy, log_norm = (hidden.new_empty(len(hidden), dtype=torch.float32) for _ in range(3))
        for start in range(0, len(hidden), size):
            part = slice(start, start + size)
            logits = _scaled(linear(hidden[part], weight, bias), temperature)
            norm = logits.logsumexp(-1)
            log_norm[part] = norm
            logprobs[part] = logits.gather(-1, targets[part, None])[:, 0] - norm
            entropy[part] = norm - (logits - norm[:, None]).exp_().mul_(logits).sum(-1)
        ctx.save_for_backward(hidden, weight, bias, targets, log_norm)
        ctx.temperature, ctx.size = temperature, size
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of hidden [N, D], weight [V, D] and bias [V]; the other arguments have none."""
        hidden, weight, bias, targets, log_norm = ctx.saved_tensors
        has_hidden, has_weight, has_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if has_hidden else None
        grad_weight = grad_bias = None
        for start in reversed(range(0, len(hidden), ctx.size)):  # the order in which autograd would add them up
            part = slice(start, start + ctx.size)
            logits = _scaled(linear(hidden[part], weight, bias), ctx.temperature)
            share = grad[part, None]
            slope = logits.sub_(log_norm[part, None]).exp_().mul_(-share).scatter_add_(-1, targets[part, None], share)
            slope = (slope if ctx.temperature == 1.0 else slope.div_(ctx.temperature)).to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[part] = slope @ weight
            if has_weight:
                grad_weight = _plus_product(grad_weight, slope, hidden[part])
            if has_bias:
                grad_bias = slope.sum(0) if grad_bias is None else grad_bias + slope.sum(0)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _plus_product(total: Tensor | None, slope: Tensor, hidden: Tensor) -> Tensor:
    """Return `total` + slope [n, V]^T hidden [n, D]; of a large matrix without a second one beside it."""
    if total is None:
        return slope.t() @ hidden
    if total.numel() < FUSED_WEIGHTS:
        return total.add_(slope.t() @ hidden)
    return total.addmm_(slope.t(), hidden)
