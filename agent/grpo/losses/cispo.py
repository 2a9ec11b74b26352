"""CISPO: REINFORCE with an importance weight that is clipped and carries no gradient, so that every token keeps one.

Source: MiniMax-M1, arXiv 2506.13585. Pure functions of [N] tensors. Knows nothing of sequences, averages or models.
"""

from __future__ import annotations

from torch import Tensor


def cispo(logprobs: Tensor, log_ratio: Tensor, advantages: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return (losses [N], is_limited [N]): minus the weight, clipped to [low, high], times advantage and logprob."""
    ratio = log_ratio.detach().exp()
    weight = ratio.clamp(low, high)
    return -weight * advantages * logprobs, weight != ratio
