"""Checkpoints: everything a run needs to go on bit for bit, in one folder that is either whole or not there.

A folder `checkpoints/step-000040` holds what is trained (model.safetensors or, of an adapted model,
adapter_model.safetensors alone), optimizer.safetensors, state.json and a manifest with the size and SHA-256 of each;
nothing is pickled. Knows nothing of what the loop's own state means.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from agent.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapter_config,
    adapter_state,
    is_adapted,
    load_adapter_state,
)
from inbox_env.durable import sync
from inbox_env.errors import CorruptError, ResourceError

MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
PREFIX, PARTIAL = "step-", ".partial"

_log = logging.getLogger(__name__)


class Stateful(Protocol):
    """An optimiser, as far as a checkpoint is concerned."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as torch's optimisers do."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take over a state."""
        ...


class FileRecord(BaseModel):
    """What one file of a checkpoint must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a whole checkpoint consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    step: int
    files: dict[str, FileRecord]
    base: str | None = None  # of an adapter: the hash of the model under it


def save_checkpoint(
    run: Path,
    step: int,
    model: nn.Module,
    optimizer: Stateful,
    state: Mapping[str, Any],
    *,
    keep_last: int = 2,
    base: str | None = None,
) -> Path:
    """Return the folder `run/checkpoints/step-<step>`, written beside and renamed when it is on disk.

    `state` is JSON (random streams through `agent.grpo.random_streams`); `base` is the hash of the model under an
    adapter; older checkpoints beyond the newest `keep_last` are removed afterwards. Raises ResourceError when the disk
    refuses, with the older ones untouched.
    """
    folder = run / "checkpoints"
    final = folder / f"{PREFIX}{step:06d}"
    partial = final.with_name(final.name + PARTIAL)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_partials(folder)
        partial.mkdir()
        _write(partial, model, optimizer, {"step": step, "loop": dict(state)})
        _write_manifest(partial, step, base)
        _publish(partial, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        next_step = "free some space, then continue with --resume; older checkpoints are untouched"
        raise ResourceError(1, f"checkpoint not written: {error}", where=str(final), next_step=next_step) from error
    _prune(folder, keep_last)
    return final


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: Stateful | None = None, *, base: str | None = None
) -> dict[str, Any]:
    """Return the loop's state with its "step", after loading `model` and `optimizer` in place.

    Raises CorruptError, before anything is loaded, when a file is absent, changed or cut short, or when the model under
    the adapter is another than `base`.
    """
    manifest = verify_checkpoint(path)
    if manifest.base != base:
        what, next_step = "the base model has changed since", "resume with the model that the run was started with"
        raise CorruptError(4, what, where=str(path), next_step=next_step)
    state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    try:
        _load_weights(path, model)
        if optimizer is not None:
            optimizer.load_state_dict(_read_optimizer(path, state["optimizer"]))
    except (RuntimeError, ValueError, KeyError, FileNotFoundError) as error:
        next_step = "resume with the config that the run was started with"
        raise CorruptError(2, "the checkpoint is of another model", where=str(path), next_step=next_step) from error
    return {"step": state["step"], **state["loop"]}


def latest_checkpoint(run: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, or None when none was ever finished.

    Damaged ones are skipped, each named in a warning. Raises CorruptError when there are some and none is whole.
    """
    damaged = []
    for path in reversed(_finished(run / "checkpoints")):
        try:
            verify_checkpoint(path)
        except CorruptError as error:
            damaged.append(path.name)
            _log.warning("skipping a damaged checkpoint: %s", error)
        else:
            return path
    if damaged:
        what = f"every checkpoint is damaged: {', '.join(damaged)}"
        raise CorruptError(3, what, where=str(run / "checkpoints"), next_step="start the run again in a new folder")
    return None


def verify_checkpoint(path: Path) -> Manifest:
    """Return the manifest; raises CorruptError naming the first file that is not what it says."""
    manifest = _read_manifest(path)
    for name, record in manifest.files.items():
        if not (path / name).is_file():
            raise _damaged(path / name, "is missing")
        if _record(path / name) != record:
            raise _damaged(path / name, "is cut short or changed")
    return manifest


def weights_file(path: Path) -> Path:
    """Return the file of a checkpoint that holds what was trained: all weights, or an adapter's."""
    return path / (ADAPTER_WEIGHTS if (path / ADAPTER_WEIGHTS).is_file() else MODEL)


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = Manifest.model_validate_json(raw)
    except FileNotFoundError as error:
        raise _damaged(path / MANIFEST, "is missing") from error
    except ValidationError as error:
        raise _damaged(path / MANIFEST, "is cut short or changed") from error
    names = manifest.files.keys()
    is_whole = names >= {OPTIMIZER, STATE} and bool(names & {MODEL, ADAPTER_WEIGHTS}) and manifest.format == 1
    if not is_whole or raw != _manifest_bytes(manifest) or path.name != f"{PREFIX}{manifest.step:06d}":
        raise _damaged(path / MANIFEST, "is cut short or changed")
    return manifest


def _damaged(path: Path, how: str) -> CorruptError:
    return CorruptError(1, f"checkpoint file {path.name} {how}", where=str(path.parent), next_step="use an older one")


def _write(folder: Path, model: nn.Module, optimizer: Stateful, state: dict[str, Any]) -> None:
    if is_adapted(model):
        save_file(adapter_state(model), folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        (folder / ADAPTER_CONFIG).write_text(adapter_config(model), encoding="utf-8")
    else:
        save_model(model, str(folder / MODEL), metadata={"format": "pt"})
        if config := getattr(model, "config", None):
            config.to_json_file(folder / "config.json")  # the folder is a model that transformers loads
    tensors, optimizer_json = _split_optimizer(optimizer)
    save_file(tensors, folder / OPTIMIZER)
    content = json.dumps({"step": state["step"], "optimizer": optimizer_json, "loop": state["loop"]})
    (folder / STATE).write_text(content, encoding="utf-8")


def _write_manifest(folder: Path, step: int, base: str | None) -> None:
    files = {path.name: _record(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_bytes(_manifest_bytes(Manifest(step=step, files=files, base=base)))
    for path in [*folder.iterdir(), folder]:
        sync(path)


def _load_weights(path: Path, model: nn.Module) -> None:
    if is_adapted(model):
        load_adapter_state(model, load_file(path / ADAPTER_WEIGHTS))
    else:
        load_model(model, path / MODEL)


def _publish(partial: Path, final: Path) -> None:
    if final.exists():  # a damaged one that the run was not resumed from
        shutil.rmtree(final)
    partial.rename(final)
    sync(final.parent)


def _prune(folder: Path, keep_last: int) -> None:
    for path in _finished(folder)[: -max(keep_last, 1)]:
        shutil.rmtree(path, ignore_errors=True)


def _remove_partials(folder: Path) -> None:
    for path in folder.glob(f"{PREFIX}*{PARTIAL}"):
        shutil.rmtree(path)


def _finished(folder: Path) -> list[Path]:
    paths = (path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal())
    return sorted(paths, key=lambda path: int(path.name.removeprefix(PREFIX)))


def _split_optimizer(optimizer: Stateful) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of the optimiser's state by "<parameter>.<name>", and the rest as JSON."""
    content = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, values in content["state"].items():
        scalars[str(parameter)] = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
        tensors |= {f"{parameter}.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    return tensors, {"scalars": scalars, "param_groups": content["param_groups"]}


def _read_optimizer(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    state = {int(parameter): dict(values) for parameter, values in content["scalars"].items()}
    for key, tensor in load_file(path / OPTIMIZER).items():
        parameter, name = key.split(".", 1)
        state[int(parameter)][name] = tensor
    return {"state": state, "param_groups": content["param_groups"]}


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _manifest_bytes(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=1, exclude_none=True).encode()
