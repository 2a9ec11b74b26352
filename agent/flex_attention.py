"""Attention for packed sequences by torch's flex attention: one compiled kernel for all segments, for CUDA devices.

Computes what `agent.segment_attention` computes segment by segment; blocks of the [T, T] square that no segment needs
are skipped. On a CPU torch has no backward pass for it. Knows nothing of losses or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

FLEX_ATTENTION = "mailsleuth_flex"


def packed_flex_attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segment_mask: BlockMask | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return [1, T, H, D] attention of packed query [1, H, T, D], key and value [1, H_kv, T, D]."""
    if segment_mask is None or attention_mask is not None:
        raise ValueError("packed attention needs segment_mask and takes no attention_mask")
    if dropout:
        raise ValueError("flex attention has no dropout: set the model's attention_dropout to 0")
    attend = _compiled() if query.is_cuda else flex_attention
    is_grouped = query.shape[1] != key.shape[1]
    output = attend(query, key, value, block_mask=segment_mask, scale=scaling, enable_gqa=is_grouped)
    return output.transpose(1, 2), None


def segment_mask(lengths: Sequence[int], parents: Sequence[int], device: torch.device) -> BlockMask:
    """Return who sees whom: each token the earlier ones of its segment, and all of the segment's parent.

    Made once for a micro-batch and used in every layer.
    """
    counts = torch.tensor(list(lengths), device=device)
    segments = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
    of_segment = torch.tensor(list(parents) or [-1] * len(counts), device=device)
    parent_of = of_segment[segments]

    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_own = (segments[query] == segments[key]) & (query >= key)
        return is_own | (parent_of[query] == segments[key])

    num_tokens = int(counts.sum())
    return create_block_mask(sees, None, None, num_tokens, num_tokens, device=device)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """Uncompiled it would hold all scores at once."""
    return torch.compile(flex_attention, dynamic=True)
