"""The clipped surrogate of PPO: what `grpo`, `dr_grpo`, `dapo` and `gspo` maximise, each with its own ratio and clip.

Source: PPO, arXiv 1707.06347; an upper clip wider than the lower one ("clip higher"): DAPO, arXiv 2503.14476.
Pure functions of [N] tensors. Knows nothing of sequences, averages or models.
"""

from __future__ import annotations

from torch import Tensor


def clipped_surrogate(log_ratio: Tensor, advantages: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return (losses [N], is_limited [N]): the smaller of the plain and the clipped ratio times the advantage.

    The ratio is clipped to [1 - low, 1 + high]; a limited token has no gradient.
    """
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - low, 1 + high)
    surrogate, limited = ratio * advantages, clipped * advantages
    return -surrogate.minimum(limited), limited < surrogate
