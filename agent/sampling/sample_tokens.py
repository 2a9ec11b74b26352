"""Draws one token per row from logits by the inverse of the cumulative distribution.

Knows nothing of sequences; the random numbers are the caller's, so that every row can own its stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draw:
    """How a row's tokens are drawn: temperature (0: the most likely), and the share of probability drawn from."""

    temperature: float
    top_p: float = 1.0


def sample_rows(logits: Tensor, uniforms: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, Tensor]:
    """Return what `sample_tokens` gives, each row by its own `draws`; rows that are drawn alike are drawn together."""
    kinds = set(draws)
    if len(kinds) == 1:
        return sample_tokens(logits, uniforms, draws[0].temperature, draws[0].top_p)
    tokens = torch.zeros(len(draws), dtype=torch.long, device=logits.device)
    logprobs = torch.zeros(len(draws), device=logits.device)
    for kind in kinds:
        rows = torch.tensor([row for row, draw in enumerate(draws) if draw == kind], device=logits.device)
        drawn = sample_tokens(logits[rows], uniforms[rows], kind.temperature, kind.top_p)
        tokens[rows], logprobs[rows] = drawn
    return tokens, logprobs


def sample_tokens(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return token ids and their logprobs, both `[rows]`, of float32 `logits` `[rows, vocabulary]`.

    `uniforms` `[rows]` float32 in [0, 1) pick the token; the logprob is the log-softmax at `temperature`.
    At temperature 0 the most likely token is taken, with its logprob at temperature 1.
    Below 1, `top_p` leaves out the least likely tokens beyond that share; the logprob is still that of all of them.
    Where logits are NaN, so is the logprob.
    """
    scaled = logits if temperature in (0.0, 1.0) else logits / temperature
    peak, best = scaled.max(-1, keepdim=True)
    weights = (scaled - peak).exp_()
    log_total = weights.sum(-1, keepdim=True).log()
    if temperature == 0.0:
        return best[:, 0], -log_total[:, 0]
    if top_p < 1.0:
        weights = _nucleus(weights, top_p)
    cumulative = weights.cumsum_(-1)
    total = cumulative[:, -1:]
    # Strictly below the total even after rounding, so that a token of weight zero is never drawn.
    threshold = torch.minimum(uniforms[:, None] * total, total.nextafter(torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, threshold, right=True).clamp_(max=scaled.shape[-1] - 1)  # NaN: past the end
    return tokens[:, 0], (scaled.gather(-1, tokens) - peak - log_total)[:, 0]


def _nucleus(weights: Tensor, top_p: float) -> Tensor:
    """Return the weights with those set to 0 that are not needed to reach the share `top_p`, the largest first."""
    ordered, order = weights.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered[before >= top_p * ordered.sum(-1, keepdim=True)] = 0.0
    return torch.zeros_like(weights).scatter_(-1, order, ordered)
