"""A model trained in shards (FSDP2): gradients and optimiser state are split over the processes.

The whole model stays beside: it is what samples, is evaluated, scored, saved and exported, so that nothing else need
know. After each step it takes over the trained weights. What that costs, one copy of the weights in each process, a
local sampler needs anyway. Knows nothing of losses, groups or files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agent.grpo.distributed import Peers
from agent.grpo.logprobs import action_logprobs
from agent.grpo.packing import MicroBatch, pack
from agent.grpo.samples import TrainingSample
from inbox_env.errors import UsageError


class ShardedModel(nn.Module):
    """The sharded copy of `whole`; called with a micro-batch it gives what `action_logprobs` gives.

    Every process must call it, and `backward`, equally often: the shards of all are needed each time.
    """

    def __init__(self, whole: PreTrainedModel, peers: Peers) -> None:
        super().__init__()
        self.whole = [whole]  # in a list: it is no part of what is sharded
        self.copy = _without_weights(whole)  # they are never there twice: a shard is filled when it is one
        mesh = init_device_mesh(whole.device.type, (peers.size,))
        is_plain = all(parameter.dtype == torch.float32 for parameter in whole.parameters())
        policy = MixedPrecisionPolicy(reduce_dtype=None if is_plain else torch.float32)
        for layer in self.copy.get_decoder().layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(self, mesh=mesh, mp_policy=policy)
        for module in self.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)  # a step's loss is a sum over all processes' tokens
                module.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        device = whole.device
        self._apply(  # type: ignore[no-untyped-call]  # torch leaves it so; `to_empty` would lose the buffers
            lambda tensor: torch.empty_like(tensor, device=device) if tensor.is_meta else tensor
        )
        self._fill(self._pairs())
        self._idle = pack([TrainingSample((0, 0), (0, 1), (0.0, -1.0), 0.0)], 2)[0].to(device)

    def forward(self, batch: MicroBatch, temperature: float) -> tuple[Tensor, Tensor]:
        """Return float32 (logprobs [N], entropy [N]) of the sampled tokens, in nats."""
        return action_logprobs(self.copy, batch, temperature)

    def idle(self, num_passes: int) -> None:
        """Take part in passes of the others, adding nothing to the gradient."""
        for _ in range(num_passes):
            logprobs, _ = self(self._idle, 1.0)
            torch.autograd.backward(logprobs.sum() * 0.0)

    @torch.no_grad()
    def give(self) -> None:
        """Copy the trained weights to the whole model."""
        for whole, shard in self._trained():
            whole.copy_(shard.full_tensor())

    def take(self) -> None:
        """Copy the trained weights of the whole model into the shards."""
        self._fill(self._trained())

    @torch.no_grad()
    def _fill(self, pairs: Iterable[tuple[Tensor, DTensor]]) -> None:
        for whole, shard in pairs:
            shard.copy_(_sharded_as(whole, shard))

    def _trained(self) -> Iterator[tuple[Tensor, DTensor]]:
        yield from (pair for pair in self._pairs() if pair[1].requires_grad)

    def _pairs(self) -> Iterator[tuple[Tensor, DTensor]]:
        pairs = zip(self.whole[0].parameters(), self.copy.parameters(), strict=True)
        yield from ((whole, shard) for whole, shard in pairs if isinstance(shard, DTensor))


class ShardedOptimizer:
    """An optimiser of sharded weights whose `state_dict` is that of the whole model, in every process alike.

    A checkpoint so holds no trace of how many processes there were. `state_dict` and `load_state_dict` must be called
    in all of them.
    """

    def __init__(self, optimizer: Optimizer, model: ShardedModel) -> None:
        self._optimizer, self._model = optimizer, model

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups, whose learning rates may be set."""
        return self._optimizer.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        """Step the shards and hand the weights over to the whole model."""
        self._optimizer.step()
        self._model.give()

    def state_dict(self) -> dict[str, Any]:
        """Return the state with whole tensors."""
        content = self._optimizer.state_dict()
        state = {
            key: {name: _whole(value) for name, value in values.items()} for key, values in content["state"].items()
        }
        return {**content, "state": state}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Take over whole tensors, and the weights that were loaded into the whole model with them."""
        self._model.take()
        shards = [parameter for group in self.param_groups for parameter in group["params"]]
        state = {
            key: {name: _sharded_as(value, shards[key]) for name, value in values.items()}
            for key, values in content["state"].items()
        }
        self._optimizer.load_state_dict({**content, "state": state})


@dataclass(frozen=True, slots=True)
class GatheredState:
    """The state of an optimiser as it was: what the first process writes when all have gathered it."""

    content: dict[str, Any]

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return self.content

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Refuse: it is a record."""
        raise NotImplementedError


def make_shards(model: PreTrainedModel, strategy: str, peers: Peers) -> ShardedModel | None:
    """Return the shards of `model` when the strategy asks for them and there are processes to share them."""
    if strategy != "shard" or peers.size == 1:
        return None
    check_shardable(model)
    return ShardedModel(model, peers)


def gathered(optimizer: Optimizer | ShardedOptimizer) -> Optimizer | GatheredState:
    """Return what can be saved by one process alone; of shards all must call it."""
    return GatheredState(optimizer.state_dict()) if isinstance(optimizer, ShardedOptimizer) else optimizer


def check_shardable(model: PreTrainedModel) -> None:
    """Raise UsageError for weights that cannot be split."""
    if getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False):
        next_step = 'set grpo.strategy = "replicate", or load the model in bfloat16'
        raise UsageError(88, "quantised weights cannot be trained in shards", next_step=next_step)
    if not hasattr(model.get_decoder(), "layers"):
        next_step = 'set grpo.strategy = "replicate"'
        raise UsageError(89, f"{type(model).__name__} has no list of layers to split", next_step=next_step)
    kinds = sorted({str(weight.dtype) for weight in model.parameters() if weight.requires_grad})
    if len(kinds) > 1:
        next_step = 'set grpo.strategy = "replicate", or model.dtype = "float32"'
        raise UsageError(90, f"weights of {' and '.join(kinds)} cannot be trained in shards", next_step=next_step)


def _without_weights(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy whose parameters have shapes and types only; tied ones stay tied, buffers are copied."""
    memo: dict[int, Any] = {
        id(weight): nn.Parameter(torch.empty_like(weight, device="meta"), weight.requires_grad)
        for weight in model.parameters()
    }
    return copy.deepcopy(model, memo)


def _whole(value: Any) -> Any:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _sharded_as(value: Any, shard: Tensor) -> Any:
    """Return a tensor of the shard's whole shape in the shard's placement; anything else as it is."""
    if not isinstance(value, Tensor) or not isinstance(shard, DTensor) or value.shape != shard.shape:
        return value
    whole = value.detach().to(shard.device)
    return distribute_tensor(whole, shard.device_mesh, shard.placements, src_data_rank=None)  # all have the same
