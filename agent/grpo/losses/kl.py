"""KL: how far two policies are apart at sampled tokens, as a term of the loss or taken off the advantages.

Pure functions of [N] tensors. Knows nothing of where the reference's logprobs come from (`agent.grpo.reference`).
"""

from __future__ import annotations

from torch import Tensor

MAX_LOG_RATIO = 20.0  # far beyond any clip; keeps exp finite, so that an advantage of 0 stays 0


def k3(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Return the k3 estimate [N] of KL(p || q) at tokens drawn from p: never negative, zero where they agree.

    Source: http://joschu.net/blog/kl-approx.html
    """
    difference = (other_logprobs - logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return difference.exp() - difference - 1


def reward_penalty(old_logprobs: Tensor, ref_logprobs: Tensor, mean_difference: float, weight: float) -> Tensor:
    """Return what is added to the advantages [N]: `weight` times how much closer a token is to the reference than most.

    The KL of RLHF as a reward of each token (arXiv 2203.02155), less its mean over the step (`mean_difference` of
    old_logprobs - ref_logprobs), a baseline that leaves the expected gradient as it is.
    """
    return weight * (mean_difference - (old_logprobs - ref_logprobs))
