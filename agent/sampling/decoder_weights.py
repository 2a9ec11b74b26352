"""A Hugging Face model's weights, read layer by layer in the form that `Decoder` runs.

Small projections are fused into copies; large matrices stay the model's own tensors. Adapters of peft are added into
float32 weights and kept apart beside 16-bit ones, whose rounding would swallow them (give the base model:
`peft_model.get_base_model()`). Knows nothing of the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inbox_env.errors import UsageError

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear map, with an adapter's low-rank part `up @ down` in float32 beside 16-bit weights."""

    weight: Tensor
    bias: Tensor | None
    down: Tensor | None = None
    up: Tensor | None = None

    def __call__(self, states: Tensor) -> Tensor:
        """Return `[tokens, outputs]`, computed as peft does."""
        mapped = F.linear(states, self.weight, self.bias)
        if self.down is None or self.up is None:
            return mapped
        return (mapped + F.linear(F.linear(states.float(), self.down), self.up)).to(mapped.dtype)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer; queries and keys have their two rotary halves interleaved (see `interleave`)."""

    input_norm: Tensor
    qkv: Projection
    qk_norm: Tensor | None
    is_rotated: bool
    out: Projection
    mlp_norm: Tensor
    gate_up: Projection
    down: Projection


@torch.no_grad()
def read_layer(layer: Any, head_dim: int) -> LayerWeights:
    """Return one decoder layer's weights as they are now."""
    attention, mlp = layer.self_attn, layer.mlp
    return LayerWeights(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_read([attention.q_proj, attention.k_proj, attention.v_proj], interleaved=2, head_dim=head_dim),
        qk_norm=_qk_norm(attention, head_dim),
        is_rotated=bool(getattr(attention, "use_rope", True)),
        out=_read([attention.o_proj]),
        mlp_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=_read([mlp.gate_proj, mlp.up_proj]),
        down=_read([mlp.down_proj]),
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
    """A linear layer's weight; of a float32 LoRA layer, base plus the deltas of its active adapters."""
    weight: Tensor = linear.weight.detach()
    if weight.dtype != torch.float32:
        return weight
    for adapter in _active_adapters(linear):
        weight = weight + linear.get_delta_weight(adapter)
    return weight


def _read(linears: Sequence[Any], *, interleaved: int = 0, head_dim: int = 0) -> Projection:
    """Return the layers as one projection; the outputs of the first `interleaved` ones are interleaved."""

    def ordered(part: Tensor, number: int) -> Tensor:
        return interleave(part, head_dim) if number < interleaved else part

    weights = [ordered(read_linear(linear), number) for number, linear in enumerate(linears)]
    biases = [ordered(linear.bias.detach(), n) for n, linear in enumerate(linears) if linear.bias is not None]
    downs, ups = [], []
    for number, linear in enumerate(linears):
        for adapter in _active_adapters(linear) if weights[0].dtype != torch.float32 else ():
            downs.append(linear.lora_A[adapter].weight.detach().float())
            up = linear.lora_B[adapter].weight.detach().float() * linear.scaling[adapter]
            rows = [
                up if other == number else up.new_zeros(len(weights[other]), up.shape[1])
                for other in range(len(linears))
            ]
            ups.append(torch.cat([ordered(row, other) for other, row in enumerate(rows)]))
    return Projection(
        _joined(weights),
        _joined(biases) if biases else None,
        torch.cat(downs) if downs else None,
        torch.cat(ups, dim=1) if ups else None,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _active_adapters(linear: Any) -> list[str]:
    if not hasattr(linear, "get_delta_weight") or linear.merged or linear.disable_adapters:
        return []
    return [adapter for adapter in linear.active_adapters if adapter in linear.lora_A]


def _qk_norm(attention: Any, head_dim: int) -> Tensor | None:
    """Qwen3's norms of queries and keys, one row per head; `q_proj` and `k_proj` say how many heads there are."""
    if not hasattr(attention, "q_norm"):
        return None
    norms = ((attention.q_norm, attention.q_proj), (attention.k_norm, attention.k_proj))
    rows = [interleave(norm.weight, head_dim).expand(linear.weight.shape[0] // head_dim, -1) for norm, linear in norms]
    return torch.cat(rows)
