"""The laptop model: a Llama-shaped decoder of about a million parameters, plain `transformers`.

Its first layer starts with heads that look one and two tokens back. Copying (a name from question to keywords, an
amount from mail to answer) is done by induction heads, which need such a head first; given it, random-token copying
is learnt in half a million tokens instead of not within several (EXPERIMENTS.md, "Copying").
"""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

# High, so that half of a head's rotary pairs hardly turn within an episode and can match content at any distance:
# with 1,000 the model rarely took its keywords from the question (EXPERIMENTS.md, "what made copying faster").
_ROPE_THETA = 100_000.0
_BACK_HEADS = {0: 1, 1: 2, 2: 1}  # head -> how many tokens it looks back
_VALUE_SCALE, _OUTPUT_SCALE = 0.23, 0.17
_LOGIT_GAP = 6.0  # how far the looked-at token's score lies above the others', in nats


def make_base_model(
    vocab_size: int, *, hidden: int = 128, layers: int = 4, heads: int = 4, context: int = 2048, seed: int = 0
) -> LlamaForCausalLM:
    """Return an untrained model; the same seed gives the same weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=hidden * 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        attention_bias=True,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    back_heads = {head: offset for head, offset in _BACK_HEADS.items() if head < heads}
    look_back(model.model.layers[0].self_attn, back_heads, hidden // heads, _ROPE_THETA)
    for layer in model.model.layers[1:]:
        copy_through(layer.self_attn)
    return model


@torch.no_grad()
def look_back(attention: Any, heads: dict[int, int], head_dim: int, theta: float) -> None:
    """Set query and key biases of `heads` so that, before training, each attends to the token `offset` back.

    With rotary positions a constant query and key score sum_f a^2 cos((i - j - offset) w_f): highest at
    i - j = offset. `a` is chosen so that the neighbours lie `_LOGIT_GAP` lower.
    """
    frequencies = theta ** (-torch.arange(head_dim // 2) / (head_dim // 2))
    amplitude = math.sqrt(_LOGIT_GAP * math.sqrt(head_dim) / float((1 - frequencies.cos()).sum()))
    for head, offset in heads.items():
        rows = slice(head * head_dim, (head + 1) * head_dim)
        angles = offset * frequencies
        attention.k_proj.bias[rows] = torch.cat([torch.full_like(angles, amplitude), torch.zeros_like(angles)])
        attention.q_proj.bias[rows] = amplitude * torch.cat([angles.cos(), -angles.sin()])


@torch.no_grad()
def copy_through(attention: Any) -> None:
    """Set values and outputs so that, before training, the heads together write what they attend to.

    The value matrix is orthogonal and the output matrix its transpose: a head passes its share of the attended
    position's state on, and with tied embeddings that raises the logit of the token there. Only where to look is
    left to learn. Scales keep values and outputs as large as ordinary initialisation makes them.
    """
    width = attention.v_proj.weight.shape[0]
    rotation = torch.linalg.qr(torch.randn(width, width)).Q
    attention.v_proj.weight.copy_(_VALUE_SCALE * rotation)
    attention.o_proj.weight.copy_(_OUTPUT_SCALE * rotation.T)
