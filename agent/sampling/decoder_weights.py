"""A Hugging Face model's weights, read layer by layer in the form that `Decoder` runs.

Small projections are fused into copies; large matrices stay the model's own tensors. LoRA layers of peft are
read as base plus delta (give the base model: `peft_model.get_base_model()`). Knows nothing of the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inbox_env.errors import UsageError

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer; queries and keys have their two rotary halves interleaved (see `interleave`)."""

    input_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norm: Tensor | None
    is_rotated: bool
    out: Tensor
    out_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None


@torch.no_grad()
def read_layer(layer: Any, head_dim: int) -> LayerWeights:
    """Return one decoder layer's weights as they are now."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
    gate_up = (mlp.gate_proj, mlp.up_proj)
    return LayerWeights(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_interleave_qk([read_linear(linear) for linear in qkv], head_dim),
        qkv_bias=None if qkv[0].bias is None else _interleave_qk([linear.bias for linear in qkv], head_dim),
        qk_norm=_qk_norm(attention, head_dim),
        is_rotated=bool(getattr(attention, "use_rope", True)),
        out=read_linear(attention.o_proj),
        out_bias=_detached(attention.o_proj.bias),
        mlp_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=torch.cat([read_linear(linear) for linear in gate_up]),
        gate_up_bias=None if gate_up[0].bias is None else torch.cat([linear.bias for linear in gate_up]),
        down=read_linear(mlp.down_proj),
        down_bias=_detached(mlp.down_proj.bias),
    )


@torch.no_grad()
def read_rotations(model: Any, max_context: int, head_dim: int) -> Tensor:
    """Return the model's own rotary table as complex numbers `[max_context, 1, head_dim / 2]`."""
    positions = torch.arange(max_context, device=model.device)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1, device=model.device), positions)
    if cos.shape[-1] != head_dim:
        raise UsageError(1, f"rotary size {cos.shape[-1]} is not the head size {head_dim}", where="model config")
    half = head_dim // 2
    return torch.complex(cos[0, :, :half], sin[0, :, :half])[:, None].contiguous()


def interleave(weight: Tensor, head_dim: int) -> Tensor:
    """Put each head's rotary halves side by side: dot products stay equal, a rotation is one complex product."""
    halves = weight.detach().view(-1, 2, head_dim // 2, *weight.shape[1:])
    return halves.transpose(1, 2).flatten(0, 2)


def is_supported(model: Any, max_context: int) -> bool:
    """Return whether `Decoder` computes the model exactly up to `max_context` tokens."""
    try:
        check_supported(model, max_context)
    except UsageError:
        return False
    return True


def check_supported(model: Any, max_context: int) -> None:
    """Raise `UsageError` when the model's shape is not one that `Decoder` computes exactly."""
    config = model.config
    if config.model_type not in SUPPORTED:
        raise UsageError(2, f"cannot sample from a {config.model_type!r} model", next_step=f"use one of {SUPPORTED}")
    check_window(config, max_context)
    if getattr(model, "hf_quantizer", None) is not None:
        raise UsageError(7, "quantised weights are not supported", where="sampling engine")
    if config.hidden_act != "silu":
        raise UsageError(4, f"activation {config.hidden_act!r} is not supported", next_step="use a silu model")
    if config.rope_parameters["rope_type"] in ("dynamic", "longrope"):
        raise UsageError(5, "rotary scaling that depends on the length is not supported", where="model config")


def check_window(config: Any, max_context: int) -> None:
    """Raise `UsageError` when some layer sees less than `max_context` tokens back, or caps its scores or logits."""
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if kinds - {"full_attention", "sliding_attention"} or (window is not None and window < max_context):
        what, next_step = "layers that see a part of the context only are not supported", "use one with full attention"
        raise UsageError(3, what, where="model config", next_step=next_step)
    if any(getattr(config, f"{name}_logit_softcapping", None) for name in ("attn", "final")):
        raise UsageError(8, "capped logits are not supported", where="model config", next_step="use another model")


def read_linear(linear: Any) -> Tensor:
    """A linear layer's weight; of a LoRA layer, base plus the deltas of its active adapters."""
    weight: Tensor = linear.weight.detach()
    if not hasattr(linear, "get_delta_weight") or linear.merged or linear.disable_adapters:
        return weight
    for adapter in linear.active_adapters:
        if adapter in linear.lora_A:
            weight = weight + linear.get_delta_weight(adapter).to(weight.dtype)
    return weight


def _interleave_qk(parts: Sequence[Tensor], head_dim: int) -> Tensor:
    query, key, value = parts
    return torch.cat([interleave(query, head_dim), interleave(key, head_dim), value.detach()])


def _qk_norm(attention: Any, head_dim: int) -> Tensor | None:
    """Qwen3's norms of queries and keys, one row per head; `q_proj` and `k_proj` say how many heads there are."""
    if not hasattr(attention, "q_norm"):
        return None
    norms = ((attention.q_norm, attention.q_proj), (attention.k_norm, attention.k_proj))
    rows = [interleave(norm.weight, head_dim).expand(linear.weight.shape[0] // head_dim, -1) for norm, linear in norms]
    return torch.cat(rows)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()
