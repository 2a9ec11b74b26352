"""Entropy mask: learn from the forks of a text only, the tokens at which the policy was least sure.

Source: "Beyond the 80/20 rule", arXiv 2506.01939. Pure functions of [N] tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor


def entropy_threshold(entropy: Tensor, top_share: float) -> float:
    """Return the entropy that the `top_share` least certain of all tokens of a step reach.

    Linear between neighbours, as `torch.quantile`, which refuses more than 16 million values.
    """
    if not len(entropy):
        return 0.0
    ordered = entropy.float().sort().values
    place = (1 - top_share) * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(torch.lerp(ordered[below], ordered[above], place - below))


def entropy_mask(entropy: Tensor, threshold: float) -> Tensor:
    """Return 1 [N] at tokens that reach `threshold`, and 0 elsewhere, in float32."""
    return (entropy.float() >= threshold).float()
