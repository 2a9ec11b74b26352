"""What a run that diverges leaves behind: the numbers of the update that was refused, and its last good checkpoint.

No token and no text is written: the step's trajectories, which are mail, stay where they are. Knows nothing of losses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from agent.grpo.checkpoint import PREFIX, verify_checkpoint, weights_file
from inbox_env.errors import CorruptError

FOLDER, BEST_FINITE = "refused", "best_finite.json"
KEPT = 8


def dump_batch(run: Path, step: int, tensors: Mapping[str, Tensor], reason: str) -> Path | None:
    """Return `run/refused/step-<step>.safetensors`: what went into the refused loss; the newest few are kept.

    None when the disk refuses: a run does not end for want of its own post-mortem.
    """
    folder = run / FOLDER
    path = folder / f"{PREFIX}{step:06d}.safetensors"
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        folder.mkdir(exist_ok=True)
        save_file(content, path, metadata={"step": str(step), "reason": reason})
    except (OSError, SafetensorError):
        return None
    for old in sorted(folder.glob(f"{PREFIX}*.safetensors"), key=_step)[:-KEPT]:
        old.unlink()
    return path


def mark_best_finite(run: Path) -> Path | None:
    """Return the newest whole checkpoint whose weights are all finite, after naming it in `run/best_finite.json`."""
    for path in sorted((run / "checkpoints").glob(f"{PREFIX}*[0-9]"), key=_step, reverse=True):
        try:
            verify_checkpoint(path)
        except CorruptError:
            continue
        if _is_finite_file(weights_file(path)):
            content = {"step": _step(path), "checkpoint": str(path.relative_to(run))}
            with suppress(OSError):  # how the run ended matters more
                (run / BEST_FINITE).write_text(json.dumps(content) + "\n", encoding="utf-8")
            return path
    return None


def is_finite(model: nn.Module) -> bool:
    """Return whether every weight is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def _step(path: Path) -> int:
    return int(path.stem.removeprefix(PREFIX))


def _is_finite_file(path: Path) -> bool:
    with safe_open(path, framework="pt") as file:
        return all(bool(torch.isfinite(file.get_tensor(name)).all()) for name in file.keys())  # noqa: SIM118
