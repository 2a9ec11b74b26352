"""The model that a run trains: found, loaded as the configuration says, with its adapter.

GPU-only ways (4 bits, unsloth) are refused with one line where they cannot work. Knows nothing of the loop.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from agent.agent_card import read_card
from agent.chat_format import ChatFormat
from agent.devices import needs_cuda, resolve_device
from agent.gradient_checkpointing import enable_gradient_checkpointing
from agent.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, add_lora, load_adapter_state, merge_adapter, name_base
from agent.model_config import ModelConfig
from agent.model_folder import LoadedModel, load_model, model_folder_of
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import ResourceError, UpstreamError, UsageError

HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "vocab.txt", "merges.txt")
_ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_trainee(
    config: ModelConfig, *, seed: int = 0, max_context: int = 4096, started: Path | None = None
) -> LoadedModel:
    """Return the model to train, on its device, with a trainable adapter if one is configured.

    `started` is a folder that an earlier part of the run left (its warm start), whose adapter is trained on. An adapter
    at `config.path` itself is merged first: it belongs to what the run starts from.
    """
    device = resolve_device(config.device)
    check_loader(config)
    if started is not None and not config.lora_rank:
        config = config.model_copy(update={"path": started})
    if config.loader == "unsloth":
        loaded = _load_with_unsloth(config, seed, max_context, started)
    else:
        loaded = _load(config, device, seed, started)
    if config.packed_attention == "flex":
        enable_segment_attention(loaded.model, "flex")
    if config.gradient_checkpointing:
        enable_gradient_checkpointing(loaded.model)
    if config.enable_thinking is not None:
        chat = ChatFormat.load(model_folder_of(find_model(config.path)), config.enable_thinking)
        return LoadedModel(loaded.model, chat, loaded.card)
    return loaded


def check_loader(config: ModelConfig) -> None:
    """Raise UsageError when this machine lacks what the configuration asks for."""
    if config.load_in_4bit:
        needs_cuda("model.load_in_4bit")
        _needs_package("bitsandbytes", "model.load_in_4bit")
    if config.packed_attention == "flex":
        needs_cuda("model.packed_attention = flex")
    if config.loader == "unsloth":
        needs_cuda("model.loader = unsloth")
        _needs_package("unsloth", "model.loader = unsloth")


def find_model(path: Path, *, allow_download: bool = False) -> Path:
    """Return the folder of a model: `path` itself, or that of a hub name in the hub's cache, fetched if allowed.

    Only safetensors and text are ever fetched. Raises UsageError without consent, UpstreamError when the hub cannot be
    reached.
    """
    if path.is_dir() or not _is_hub_name(path):
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    name = path.as_posix()
    try:
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=list(HUB_FILES)))
    except LocalEntryNotFoundError:
        if not allow_download:
            what, next_step = "no such model folder", "give a folder, or set model.allow_download to fetch it"
            raise UsageError(48, what, where=name, next_step=next_step) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # network, name, access and disk fail in many ways
        what = f"cannot fetch the model from the hub ({type(error).__name__})"
        next_step = "check network, name and access, or give a folder"
        raise UpstreamError(80, what, where=name, next_step=next_step) from error


def _is_hub_name(path: Path) -> bool:
    return not path.is_absolute() and len(path.parts) == 2 and not path.exists() and "." not in path.parts[0]


def _load(config: ModelConfig, device: str, seed: int, started: Path | None) -> LoadedModel:
    source = find_model(config.path, allow_download=config.allow_download)
    dtype = getattr(torch, config.dtype)
    if config.load_in_4bit and source.is_dir():
        _needs_whole_model(model_folder_of(source), "model.load_in_4bit")
    options = {"quantization_config": _four_bits(dtype), "device_map": {"": device}} if config.load_in_4bit else {}
    try:
        if started is not None and (started / ADAPTER_CONFIG).is_file():
            return load_model(started, device, dtype=dtype, **options)
        loaded = load_model(source, device, dtype=dtype, **options)
    except torch.OutOfMemoryError as error:
        raise ResourceError(82, "the model does not fit the device", where=str(source)) from error
    model = merge_adapter(loaded.model)
    if config.lora_rank:
        model = add_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, base=str(config.path), seed=seed)
    return LoadedModel(model, loaded.chat, loaded.card)


def _four_bits(dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _load_with_unsloth(config: ModelConfig, seed: int, max_context: int, started: Path | None) -> LoadedModel:
    """Load through `FastLanguageModel`; its own inference and its remote code stay off."""
    from unsloth import FastLanguageModel

    folder = model_folder_of(find_model(config.path, allow_download=config.allow_download))
    _needs_whole_model(folder, "model.loader = unsloth")
    model, _ = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=max_context,
        dtype=getattr(torch, config.dtype),
        load_in_4bit=config.load_in_4bit,
        fast_inference=False,
        use_gradient_checkpointing=False,
        use_exact_model_name=True,
        trust_remote_code=False,
        local_files_only=True,
        use_safetensors=True,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=_ALL_LINEAR,
        lora_dropout=0.0,
        bias="none",
        use_gradient_checkpointing=False,
        random_state=seed,
    )
    name_base(model, str(config.path))
    if started is not None:
        load_adapter_state(model, load_file(started / ADAPTER_WEIGHTS))
    card = read_card(folder)
    return LoadedModel(model.eval(), ChatFormat.load(folder, card.enable_thinking), card)


def _needs_whole_model(folder: Path, what: str) -> None:
    if (folder / ADAPTER_CONFIG).is_file():
        next_step = "merge it first: mailsleuth export --merged"
        raise UsageError(85, f"{what} cannot begin from an adapter", where=str(folder), next_step=next_step)


def _needs_package(name: str, what: str) -> None:
    if find_spec(name) is None:
        raise UsageError(82, f"{what} needs the package {name}", next_step='pip install "mailsleuth[gpu]"')
