"""Several processes that train one model: each makes its own share of a step, and their gradients are summed.

On a CPU two processes of one thread each train a small model half as fast again as one of two threads. Knows nothing
of models and losses. In a single process everything here does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, distributed, nn


@contextmanager
def joined(rank: int, num_processes: int, rendezvous: Path) -> Iterator[None]:
    """Make this process number `rank` of `num_processes` that meet at the file `rendezvous`, and leave afterwards."""
    if num_processes == 1:
        yield
        return
    distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous.resolve()}", rank=rank, world_size=num_processes
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def sum_gradients(parameters: Iterable[nn.Parameter], totals: Tensor) -> None:
    """Replace every gradient, and the float `totals` [K], by their sum over the processes, bit for bit equal in all.

    A parameter without a gradient in one process counts as zero there.
    """
    if not distributed.is_initialized():
        return
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    tensors = [totals, *(parameter.grad for parameter in parameters if parameter.grad is not None)]
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, summed in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))
