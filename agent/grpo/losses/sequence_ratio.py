"""GSPO's importance ratio: one for a whole sequence, the geometric mean of those of its tokens.

Source: arXiv 2507.18071. Pure functions of [N] tensors of packed sequences. Knows nothing of clips or averages.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_log_ratio(log_ratio: Tensor, sequence_ids: Tensor) -> Tensor:
    """Return [N]: at each token the mean log-ratio of its sequence; the gradient reaches all tokens of the sequence."""
    return sequence_mean(log_ratio, sequence_ids)[sequence_ids]


def sequence_sum(values: Tensor, sequence_ids: Tensor) -> Tensor:
    """Return the sum of `values` [N] over each sequence, [S]; `sequence_ids` [N] count from 0 within the batch."""
    num_sequences = int(sequence_ids.max()) + 1 if len(sequence_ids) else 0
    return torch.zeros(num_sequences, dtype=values.dtype, device=values.device).index_add(0, sequence_ids, values)


def sequence_mean(values: Tensor, sequence_ids: Tensor) -> Tensor:
    """Return the mean of `values` [N] over each sequence, [S]."""
    return sequence_sum(values, sequence_ids) / sequence_lengths(sequence_ids)


def sequence_lengths(sequence_ids: Tensor) -> Tensor:
    """Return how many tokens each sequence has, [S] int64."""
    return torch.bincount(sequence_ids)
