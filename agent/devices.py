"""Which device a run uses: the one that was asked for, or one clear error.

Knows nothing of models.
"""

from __future__ import annotations

import logging

import torch

from inbox_env.errors import ResourceError, UsageError

AUTO = "auto"

_log = logging.getLogger(__name__)


def resolve_device(name: str) -> str:
    """Return a device that works, as torch names it.

    "auto" takes this process's CUDA device (the first, or torchrun's choice), or the CPU with one line of warning.
    Raises UsageError for a name that is no device, ResourceError when the device that was asked for is not there.
    """
    if name == AUTO:
        if torch.cuda.is_available():
            return f"cuda:{torch.cuda.current_device()}"
        _log.warning("no CUDA device: using the CPU")
        return "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(80, f"no such device: {name}", where="model.device", next_step="auto, cpu or cuda") from error
    if device.type == "cpu":
        return name
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = f"the device {name} is not there or does not answer"
        raise ResourceError(80, what, where="model.device", next_step="use cpu or auto, or mend the driver") from error
    return name


def free_memory_gb(device: str) -> float:
    """Return the GiB that are free on a device now, or in the machine for the CPU."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2**30
    import psutil

    return float(psutil.virtual_memory().available) / 2**30


def needs_cuda(what: str) -> None:
    """Raise UsageError when there is no CUDA device for `what`."""
    if not torch.cuda.is_available():
        raise UsageError(81, f"{what} needs a CUDA device", where="model", next_step="use the defaults on a CPU")
