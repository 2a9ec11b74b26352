"""A model folder: weights (or an adapter) and tokenizer, and `agent.json`: how the model is used here.

Reads safetensors only, never pickle, and never runs code that comes with a model.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from agent.agent_card import AGENT_CARD, AgentCard, read_card
from agent.base_identity import base_sha256, folder_sha256, resolve_base
from agent.chat_format import ChatFormat
from agent.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapter_config,
    adapter_state,
    apply_adapter,
    base_of,
    is_adapted,
    merge_adapter,
    read_adapter_config,
)
from inbox_env.errors import CorruptError, ResourceError, UsageError

MODEL_BUILDING = threading.RLock()
"""Held while a model is built: meanwhile transformers replaces a method of all its models and torch's default dtype."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to be sampled from or trained."""

    model: Any
    chat: ChatFormat
    card: AgentCard


def load_model(path: Path, device: str = "cpu", *, dtype: Any = "auto", **options: Any) -> LoadedModel:
    """Return the model of a folder or of a run (its `model` folder), an adapter on the model that it was trained on.

    `options` go to transformers. Threads may call it at once; one model is loaded after the other. Raises UsageError
    or CorruptError.
    """
    with MODEL_BUILDING:
        return _load(path, device, dtype, options)


def model_folder_of(path: Path) -> Path:
    """Return the folder with the model's files: `path` or, of a run, its `model`; raises UsageError without one."""
    folder = path / "model" if (path / "model").is_dir() else path
    if folder == path and (path / "lock").is_file():  # `agent.run_folder`, whose configuration has a model's file name
        what, next_step = "this run has not ended: it holds no model yet", "mailsleuth train --resume"
        raise UsageError(56, what, where=str(path), next_step=next_step)
    if not ((folder / "config.json").is_file() or (folder / ADAPTER_CONFIG).is_file()):
        raise UsageError(48, "no model here", where=str(path), next_step="give a run folder or a transformers folder")
    return folder


def save_model(folder: Path, loaded: LoadedModel) -> None:
    """Write the folder that `load_model` reads: whole models as transformers does, adapters as peft does.

    Raises ResourceError when the disk refuses.
    """
    try:
        card = _save_adapter(folder, loaded) if is_adapted(loaded.model) else _save_whole(folder, loaded)
        loaded.chat.save(folder)
        unset = None if card.base_sha256 else {"base_sha256"}
        (folder / AGENT_CARD).write_text(card.model_dump_json(indent=1, exclude=unset) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        what, next_step = f"model not written: {error}", "free some space, then continue with --resume"
        raise ResourceError(48, what, where=str(folder), next_step=next_step) from error


def _load(path: Path, device: str, dtype: Any, options: dict[str, Any]) -> LoadedModel:
    folder = model_folder_of(path)
    card = read_card(folder)
    chat = ChatFormat.load(folder, card.enable_thinking)
    if not (folder / ADAPTER_CONFIG).is_file():
        return LoadedModel(_load_weights(folder, device, dtype, options), chat, card)
    base = resolve_base(read_adapter_config(folder)["base"], folder)
    if card.base_sha256 and card.base_sha256 != folder_sha256(base):
        what = "the base model has changed since the adapter was trained on it"
        raise CorruptError(51, what, where=str(base), next_step="give the adapter its own base model")
    model = merge_adapter(_load(base, device, dtype, options).model)
    return LoadedModel(apply_adapter(model, folder, base=str(base)), chat, card)


def _load_weights(folder: Path, device: str, dtype: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # models load within a second here; a bar would break our own lines
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=dtype,
            **options,
        )
    except (ImportError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged folder fails in many ways
        first_line = str(error).strip().partition("\n")[0][:120]
        raise CorruptError(
            48, f"cannot load the model ({first_line})", where=str(folder), next_step="fetch or train it again"
        ) from error
    if missing := sorted(info["missing_keys"]):
        what = f"the model lacks {len(missing)} weights, {missing[0]} first"
        raise CorruptError(47, what, where=str(folder), next_step="fetch or train it again")
    return model if options else model.to(device)


def _save_whole(folder: Path, loaded: LoadedModel) -> AgentCard:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    attention = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation("sdpa")
    try:
        loaded.model.save_pretrained(folder)
    finally:
        loaded.model.set_attn_implementation(attention)
    return loaded.card


def _save_adapter(folder: Path, loaded: LoadedModel) -> AgentCard:
    """Write the adapter alone; a base that is a folder is named relative to it, so that both can be moved."""
    folder.mkdir(parents=True, exist_ok=True)
    base = base_of(loaded.model)
    name = os.path.relpath(base, folder) if Path(base).is_dir() else base
    save_file(adapter_state(loaded.model), folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER_CONFIG).write_text(adapter_config(loaded.model, name), encoding="utf-8")
    return loaded.card.model_copy(update={"base_sha256": base_sha256(loaded.model)})
