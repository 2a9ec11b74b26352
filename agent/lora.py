"""LoRA adapters through peft: added to a model, read from it and put back, switched off, merged.

An adapted model is a `peft.PeftModel` around the transformers model. Adapter files are safetensors and a small
configuration of which only known keys are believed. Knows nothing of training.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from inbox_env.errors import CorruptError, UsageError

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_NAME = "default"
_KNOWN_KINDS = {"peft_type": "LORA", "bias": "none", "use_dora": False, "modules_to_save": None}


def add_lora(model: Any, *, rank: int, alpha: float, base: str, seed: int = 0) -> Any:
    """Return `model` with a new adapter on all linear layers but the head; only the adapter is trainable, in float32.

    Its output is zero until it is trained. `base` names the model in the adapter's files; the same seed gives the
    same adapter.
    """
    return _wrap(model, rank=rank, alpha=alpha, targets="all-linear", base=base, seed=seed)


def is_adapted(model: Any) -> bool:
    """Return whether `model` carries an adapter."""
    return hasattr(model, "get_base_model")


def plain_model(model: Any) -> Any:
    """Return the transformers model itself; an adapter's layers stay in it."""
    return model.get_base_model() if is_adapted(model) else model


def adapter_state(model: Any) -> dict[str, Tensor]:
    """Return the adapter's weights by peft's names."""
    from peft import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def load_adapter_state(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Set the adapter's weights in place; raises ValueError when they are of another adapter."""
    from peft import set_peft_model_state_dict

    wanted = {name: tensor.shape for name, tensor in adapter_state(model).items()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError("the weights are of another adapter")
    set_peft_model_state_dict(model, dict(tensors))


def adapter_config(model: Any, base: str | None = None) -> str:
    """Return the content of `adapter_config.json`, with which peft and `apply_adapter` load the adapter."""
    config = model.peft_config[_NAME]
    content = {
        **_KNOWN_KINDS,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_of(model) if base is None else base,
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(config.target_modules),
    }
    return json.dumps(content, indent=1) + "\n"


def base_of(model: Any) -> str:
    """Return the name of the model under an adapter."""
    return str(model.peft_config[_NAME].base_model_name_or_path)


def name_base(model: Any, base: str) -> None:
    """Set the name of the model under an adapter, as its files will have it."""
    model.peft_config[_NAME].base_model_name_or_path = base


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """Return a folder's adapter configuration; raises CorruptError, or UsageError for another kind than plain LoRA."""
    path = folder / ADAPTER_CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kinds = {key: content.get(key, value) for key, value in _KNOWN_KINDS.items()}
        rank = int(content["r"])
        checked: dict[str, Any] = {
            "base": str(content["base_model_name_or_path"]),
            "rank": rank,
            "alpha": float(content["lora_alpha"]),
            "targets": sorted(map(str, content["target_modules"])),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(70, "the adapter's configuration is damaged", where=str(path)) from error
    if kinds != _KNOWN_KINDS or rank < 1:
        what, next_step = "the adapter is not plain LoRA", "merge it into its base model first"
        raise UsageError(71, what, where=str(path), next_step=next_step)
    return checked


def apply_adapter(model: Any, folder: Path, *, base: str) -> Any:
    """Return `model`, named `base`, with the adapter of a folder on it, trainable; reads safetensors only.

    Raises CorruptError for weights that are missing, damaged or of another model.
    """
    config, path = read_adapter_config(folder), folder / ADAPTER_WEIGHTS
    if not path.is_file():
        what = "the adapter has no safetensors weights; pickled ones are not read"
        raise CorruptError(72, what, where=str(folder), next_step="ask for the adapter as safetensors")
    try:
        tensors = load_file(path)
        wrapped = _wrap(model, **{**config, "base": base}, seed=0)
        load_adapter_state(wrapped, tensors)
    except (SafetensorError, ValueError, OSError) as error:
        first_line = str(error).partition("\n")[0][:80]
        raise CorruptError(73, f"cannot load the adapter ({first_line})", where=str(path)) from error
    return wrapped


def merge_adapter(model: Any) -> Any:
    """Return the transformers model with the adapter added into its weights; `model` is used up."""
    return model.merge_and_unload(safe_merge=True) if is_adapted(model) else model


def _wrap(model: Any, *, rank: int, alpha: float, targets: str | list[str], base: str, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
        torch.manual_seed(seed)
        wrapped = get_peft_model(model, config)
    name_base(wrapped, base)
    return wrapped.eval()
