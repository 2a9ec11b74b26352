"""Which model an adapter belongs to: where it is, and one hash over its files.

The hash does not depend on the number format that the weights are loaded in. Knows nothing of loading.
"""

from __future__ import annotations

from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from agent.lora import ADAPTER_CONFIG, base_of, read_adapter_config
from inbox_env.errors import UsageError


def resolve_base(name: str, beside: Path | None = None) -> Path:
    """Return the folder of a model: beside its adapter, from here, or in the hub's cache; raises UsageError."""
    candidates = [Path(name)] if beside is None else [beside / name, Path(name)]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        what = "the model that the adapter was trained on is not here"
        raise UsageError(52, what, where=name, next_step="put it there, or fetch it from the hub") from error


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 over the weight files of a model folder, and of the model under an adapter."""
    digest = sha256()
    if (folder / ADAPTER_CONFIG).is_file():
        digest.update(folder_sha256(resolve_base(read_adapter_config(folder)["base"], folder)).encode())
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(f"{path.name} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def base_sha256(model: Any) -> str:
    """Return the hash of the model under an adapted model's adapter."""
    return folder_sha256(resolve_base(base_of(model)))
