"""What happens when the device has no memory left: the step is tried once with half the batch, then the run ends.

Also names errors of the device itself. Knows nothing of what is computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from inbox_env.errors import ResourceError

Result = TypeVar("Result")
_CPU_MESSAGE = "can't allocate memory"

_log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that memory ran out, on the CPU or on a device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or _CPU_MESSAGE in str(error)


def halve_on_out_of_memory(compute: Callable[[int], Result], max_tokens: int, least_tokens: int) -> tuple[Result, int]:
    """Return `compute(max_tokens)`, or when memory runs out that of half of it, and the number that was used.

    Not less than `least_tokens` (the longest sample). `compute` must start afresh when it is called again. Raises
    ResourceError when half is too much as well.
    """
    try:
        return compute(max_tokens), max_tokens
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    smaller = max(least_tokens, max_tokens // 2)
    _log.warning("out of memory: micro-batches of %d instead of %d tokens from here on", smaller, max_tokens)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with named_device_errors():
        return compute(smaller), smaller


@contextmanager
def named_device_errors() -> Iterator[None]:
    """Turn exhausted memory and a device that fails into a ResourceError."""
    try:
        yield
    except (torch.AcceleratorError, RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            next_step = "lower grpo.micro_batch_tokens, sampling.max_rows or sampling.max_context, then --resume"
            raise ResourceError(20, "out of memory", where="training", next_step=next_step) from error
        if isinstance(error, torch.AcceleratorError):
            first_line = str(error).partition("\n")[0][:100]
            next_step = "mend the device, then continue with --resume; the last checkpoint is whole"
            raise ResourceError(
                21, f"the device failed: {first_line}", where="training", next_step=next_step
            ) from error
        raise
