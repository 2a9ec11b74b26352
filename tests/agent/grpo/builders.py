"""Small models and random samples that the tests of training share."""

from __future__ import annotations

import random

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from agent.grpo.samples import TrainingSample

VOCABULARY = 97
SHAPES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def make_model(kind="qwen3", seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    config_class, model_class = SHAPES[kind]
    config = config_class(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        vocab_size=VOCABULARY,
        max_position_embeddings=128,
        tie_word_embeddings=kind != "llama",
        initializer_range=0.2,
    )
    return model_class(config).to(dtype)


def make_samples(num_samples=9, seed=0):
    stream = random.Random(seed)
    return [make_sample(stream, stream.randint(4, 40)) for _ in range(num_samples)]


def make_sample(stream, length):
    mask = [0, 1, *(int(stream.random() < 0.3) for _ in range(length - 2))]
    return TrainingSample(
        token_ids=tuple(stream.randrange(VOCABULARY) for _ in range(length)),
        action_mask=tuple(mask),
        logprobs=tuple(-5 * stream.random() * sampled for sampled in mask),
        advantage=stream.uniform(-1, 1),
    )
