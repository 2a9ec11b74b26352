"""The `model` section of a training configuration: which model, how it is loaded and what of it is trained.

Knows nothing of how it is loaded (`agent.model_loading`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ModelConfig(BaseModel):
    """The model that is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    path: Path = Path("data/base")
    """Folder of the model and its tokenizer, as transformers loads it, or the name of one on the Hugging Face hub."""
    allow_download: bool = False
    """Fetch the model from the hub when it is neither a folder nor in the hub's local cache."""
    prompt: str = "laptop"
    """System prompt: a file of agent/prompts, without its ending."""
    enable_thinking: bool | None = None
    """The chat template's switch for thinking, where it has one; not set: as the model's folder or template has it."""
    device: str = "cpu"
    """Device of model and sampler, as torch names it; auto takes the first CUDA device, or the CPU without one."""
    threads: int = Field(default=0, ge=0)
    """Threads of torch on the CPU; 0 leaves torch's choice."""
    loader: Literal["transformers", "unsloth"] = "transformers"
    """Who loads the model; unsloth needs a CUDA device and the extra gpu."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights; LoRA weights and the optimiser are float32 in any case. Logits become float32 after
    a product in the weights' format."""
    lora_rank: int = Field(default=0, ge=0)
    """Rank of the LoRA adapter on every linear layer of the decoder; 0 trains all weights."""
    lora_alpha: float = Field(default=32.0, gt=0)
    """The adapter's output is scaled by `lora_alpha / lora_rank`."""
    load_in_4bit: bool = False
    """Hold the frozen weights in 4 bits (NF4); needs LoRA, a CUDA device and the package bitsandbytes."""
    packed_attention: Literal["segments", "flex"] = "segments"
    """How packed sequences attend in training: segment by segment, or by torch's flex attention in one compiled kernel,
    which needs a CUDA device. At its start a run compares either with the model's own attention."""
    gradient_checkpointing: bool = False
    """Compute each layer's activations again in the backward pass: a third more time, a fraction of the memory."""

    @model_validator(mode="after")
    def _four_bits_are_frozen(self) -> ModelConfig:
        if self.load_in_4bit and not self.lora_rank:
            raise ValueError("load_in_4bit needs lora_rank: weights of 4 bits cannot be trained")
        if self.loader == "unsloth" and not self.lora_rank:
            raise ValueError("the loader unsloth needs lora_rank")
        return self
