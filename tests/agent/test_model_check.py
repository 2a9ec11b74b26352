"""A model whose packed logprobs are not its own is refused before it is trained."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from agent.lora import add_lora
from agent.model_check import check_trainable
from inbox_env.errors import UsageError
from tests.agent.test_hf_decoder import tiny_model


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral", "gpt2", "phi3", "olmo2", "qwen3_moe"])
def test_models_with_full_attention_are_trained_as_they_are(kind):
    check_trainable(tiny_model(kind), 64)


def test_bfloat16_and_an_adapter_pass():
    check_trainable(tiny_model("qwen3", head_dim=8).to(torch.bfloat16), 64)
    check_trainable(add_lora(tiny_model("llama"), rank=2, alpha=8.0, base="b"), 64)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("gemma2", {"head_dim": 8}),
        ("mistral", {"sliding_window": 32}),
        ("gemma3_text", {"sliding_window": 16, "head_dim": 8}),
    ],
)
def test_models_that_would_be_trained_wrongly_are_refused(kind, options):
    with pytest.raises(UsageError):
        check_trainable(tiny_model(kind, **options), 64)


def test_an_attention_that_mixes_packed_texts_is_noticed(monkeypatch):
    def mixing(_module, query, key, value, _mask, scaling=None, **_):
        output = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
        return output.transpose(1, 2), None

    AttentionInterface.register("mixing", mixing)
    model = tiny_model("llama")
    monkeypatch.setattr(
        "agent.model_check.enable_segment_attention", lambda model: model.set_attn_implementation("mixing")
    )
    with pytest.raises(UsageError, match="packed text"):
        check_trainable(model, 64)
