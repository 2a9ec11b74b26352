"""Draws one token per row from logits by the inverse of the cumulative distribution.

Knows nothing of sequences; the random numbers are the caller's, so that every row can own its stream.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sample_tokens(logits: Tensor, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return token ids and their logprobs, both `[rows]`, of float32 `logits` `[rows, vocabulary]`.

    `uniforms` `[rows]` float32 in [0, 1) pick the token; the logprob is the log-softmax at `temperature`.
    At temperature 0 the most likely token is taken, with its logprob at temperature 1.
    Where logits are NaN, so is the logprob.
    """
    scaled = logits if temperature in (0.0, 1.0) else logits / temperature
    peak, best = scaled.max(-1, keepdim=True)
    weights = (scaled - peak).exp_()
    log_total = weights.sum(-1, keepdim=True).log()
    if temperature == 0.0:
        return best[:, 0], -log_total[:, 0]
    cumulative = weights.cumsum_(-1)
    total = cumulative[:, -1:]
    # Strictly below the total even after rounding, so that a token of weight zero is never drawn.
    threshold = torch.minimum(uniforms[:, None] * total, total.nextafter(torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, threshold, right=True).clamp_(max=scaled.shape[-1] - 1)  # NaN: past the end
    return tokens[:, 0], (scaled.gather(-1, tokens) - peak - log_total)[:, 0]
