"""AdamW over what is trainable; weights of 16 bits are stepped through copies of 32.

A step of 1e-5 is lost in the rounding of a bfloat16 weight; it is not lost in the copy. Knows nothing of losses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agent.grpo.sharding import ShardedModel, ShardedOptimizer
from agent.grpo.step_config import GrpoConfig

_COPY = "float32_copy"


def make_optimizer(
    model: nn.Module, config: GrpoConfig, shards: ShardedModel | None = None
) -> torch.optim.AdamW | ShardedOptimizer:
    """Return the optimiser of a model's trainable weights, or of its shards."""
    trainable = [parameter for parameter in (shards or model).parameters() if parameter.requires_grad]
    is_plain = all(parameter.dtype == torch.float32 for parameter in trainable)
    kind = torch.optim.AdamW if is_plain else CopyingAdamW
    adam = kind(trainable, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay)
    return adam if shards is None else ShardedOptimizer(adam, shards)


class CopyingAdamW(torch.optim.AdamW):
    """AdamW whose state and steps are float32, whatever the weights are; the copies are part of `state_dict`."""

    def __init__(self, weights: list[nn.Parameter], **options: Any) -> None:
        self._weights = weights
        super().__init__([weight.detach().float().clone().requires_grad_() for weight in weights], **options)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of weights and copies."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # none is ever given
        """Step the copies by the weights' gradients, and round them into the weights."""
        copies = self._copies()
        for weight, copy in zip(self._weights, copies, strict=True):
            copy.grad = None if weight.grad is None else weight.grad.float()
            self.state[copy].pop(_COPY, None)  # AdamW begins where a weight's state is empty
        super().step()
        for weight, copy in zip(self._weights, copies, strict=True):
            weight.copy_(copy)
            self.state[copy][_COPY] = copy.detach()

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore state and copies; a copy that was never stepped is its weight."""
        super().load_state_dict(state_dict)
        for weight, copy in zip(self._weights, self._copies(), strict=True):
            stored = self.state[copy].get(_COPY)
            copy.copy_(weight if stored is None else stored)

    def _copies(self) -> list[Tensor]:
        return [copy for group in self.param_groups for copy in group["params"]]
