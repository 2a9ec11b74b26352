"""The shape of a model in a folder, read from its configuration: no weights are loaded.

Knows nothing of what memory is needed for (`agent.grpo.memory_plan`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from agent.base_identity import resolve_base
from agent.grpo.memory_plan import ModelShape
from agent.lora import ADAPTER_CONFIG, read_adapter_config
from agent.model_folder import MODEL_BUILDING, model_folder_of
from inbox_env.errors import CorruptError


def read_shape(path: Path) -> ModelShape:
    """Return the shape of the model of a folder, or of the one under an adapter; raises CorruptError."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = model_folder_of(path)
    while (folder / ADAPTER_CONFIG).is_file():
        folder = model_folder_of(resolve_base(read_adapter_config(folder)["base"], folder))
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with MODEL_BUILDING, torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged folder fails in many ways
        what = f"cannot read the model's configuration ({type(error).__name__})"
        raise CorruptError(53, what, where=str(folder), next_step="fetch or train it again") from error
    return shape_of(model)


def shape_of(model: Any) -> ModelShape:
    """Return the shape of a model, whether it has weights or not."""
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    linears = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not head]
    num_heads: int = config.num_attention_heads
    return ModelShape(
        num_params=sum(weight.numel() for weight in model.parameters()),
        num_linear_params=sum(linear.weight.numel() for linear in linears),
        lora_width=sum(linear.in_features + linear.out_features for linear in linears),
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        num_heads=num_heads,
        num_kv_heads=getattr(config, "num_key_value_heads", None) or num_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // num_heads,
        vocab=config.vocab_size,
    )
