"""What a step's summed loss is divided by: the difference between GRPO, Dr. GRPO and DAPO that is not a clip.

| over | each sampled token weighs | source |
|---|---|---|
| tokens | the same | DAPO, arXiv 2503.14476 |
| sequences | the less, the longer its sequence; each sequence weighs the same | GRPO, arXiv 2402.03300 |
| constant | the same; the divisor is as if all sequences were the longest possible | Dr. GRPO, arXiv 2503.20783 |

The divisor is that of the whole optimiser step, so that micro-batches add up to it however they are cut; a sequence
is never cut. Pure functions of [N] tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from agent.grpo.losses.sequence_ratio import sequence_lengths

Average = Literal["tokens", "sequences", "constant"]


@dataclass(frozen=True, slots=True)
class StepSize:
    """How large an optimiser step is: sampled tokens, their sequences, and the most tokens one sequence can sample."""

    num_tokens: int
    num_sequences: int = 0
    max_sequence_tokens: int = 0


def averaged(losses: Tensor, over: Average, step: StepSize, sequence_ids: Tensor | None = None) -> Tensor:
    """Return a micro-batch's share (a scalar) of the step's mean loss; `losses` and `sequence_ids` are [N].

    `sequence_ids`, from 0 within the micro-batch, are needed over sequences. Tokens that a mask silenced count in
    every divisor (arXiv 2506.01939).
    """
    if over == "tokens":
        return losses.sum() / step.num_tokens
    if over == "constant":
        if not step.max_sequence_tokens:
            raise ValueError("a constant average needs max_sequence_tokens")
        return losses.sum() / (step.num_sequences * step.max_sequence_tokens)
    if sequence_ids is None:
        raise ValueError("a mean over sequences needs sequence_ids")
    lengths = sequence_lengths(sequence_ids)[sequence_ids]
    return (losses / lengths).sum() / step.num_sequences
