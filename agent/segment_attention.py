"""Attention for packed sequences: a transformers attention function that never looks across a segment's edge.

Each segment is one causal `scaled_dot_product_attention`, so that no [T, T] mask exists and the work grows with
the sum of squared lengths. Works for decoders whose every layer is full attention (Llama, Qwen2, Qwen3).
Knows nothing of losses or training; on a CUDA device `agent.flex_attention` can do the same in one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from agent.flex_attention import FLEX_ATTENTION, packed_flex_attention, segment_mask
from inbox_env.errors import UsageError

SEGMENT_ATTENTION = "mailsleuth_segments"
PackedAttention = Literal["segments", "flex"]


def enable_segment_attention(model: PreTrainedModel, kind: PackedAttention | None = None) -> None:
    """Make `model` read packed input; every forward must then be given what `packed_arguments` returns.

    `kind` None keeps the one that is enabled, or takes segments. Raises UsageError for a model with layers that would
    mix segments (convolution, sliding window, recurrence).
    """
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        what = f"model {model.config.model_type} has layers that cannot be trained on packed text: {sorted(kinds)}"
        raise UsageError(40, what, next_step="use a decoder with full attention only, such as Qwen3 or Llama")
    is_flex = kind == "flex" or (kind is None and model.config._attn_implementation == FLEX_ATTENTION)
    AttentionInterface.register(SEGMENT_ATTENTION, segment_attention)
    AttentionInterface.register(FLEX_ATTENTION, packed_flex_attention)
    model.set_attn_implementation(FLEX_ATTENTION if is_flex else SEGMENT_ATTENTION)


def packed_arguments(model: PreTrainedModel, lengths: Sequence[int], parents: Sequence[int]) -> dict[str, Any]:
    """Return what a forward pass of packed text is given beside tokens and positions."""
    if model.get_decoder().config._attn_implementation == FLEX_ATTENTION:
        return {"segment_mask": segment_mask(lengths, parents, model.device)}
    return {"segment_lengths": lengths} | ({"segment_parents": parents} if parents else {})


def segment_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segment_lengths: Sequence[int] | None = None,
    segment_parents: Sequence[int] | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return [1, T, H, D] attention of packed query [1, H, T, D], key and value [1, H_kv, T, D].

    A segment with a parent, an earlier segment's number, looks at all of that one too; -1 stands for none.
    transformers builds no mask for an attention function that it has no mask function for, hence `attention_mask`
    must be None: padding does not exist here.
    """
    if segment_lengths is None or attention_mask is not None:
        raise ValueError("packed attention needs segment_lengths and takes no attention_mask")
    lengths = list(segment_lengths)
    if query.shape[0] != 1 or query.shape[2] != sum(lengths) or key.shape[2] != sum(lengths):
        raise ValueError(f"segments of {sum(lengths)} tokens do not cover a query of shape {tuple(query.shape)}")
    parts = list(zip(*(torch.split(tensor, lengths, 2) for tensor in (query, key, value)), strict=True))
    parents = list(segment_parents or ())
    outputs = []
    for number, (q, k, v) in enumerate(parts):
        mask = None
        if parents and parents[number] >= 0:
            _, before, values_before = parts[parents[number]]
            mask = torch.ones(q.shape[2], before.shape[2] + k.shape[2], dtype=torch.bool, device=q.device)
            mask = mask.tril(before.shape[2])
            k, v = torch.cat([before, k], 2), torch.cat([values_before, v], 2)
        outputs.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )  # fmt: skip
    return torch.cat([output.transpose(1, 2) for output in outputs], dim=1), None
