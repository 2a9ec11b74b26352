"""The decoder computes what the Hugging Face model computes, however the tokens arrive."""

import peft
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from agent.sampling.decoder import Decoder
from agent.sampling.decoder_weights import read_layer
from inbox_env.errors import ResourceError, UsageError
from tests.agent.decoding import VOCABULARY, appended, full_logits, random_ids, stepped

KINDS = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM),
}


def tiny_model(kind="qwen3", *, kv_heads=2, tied=True, seed=0, **options):
    """A random model whose every weight, bias and norm differs from its usual start."""
    config_class, model_class = KINDS[kind]
    head = {} if kind in ("qwen2", "smollm3") else {"head_dim": 10}
    if kind == "smollm3":  # a layer without rotation
        head |= {"no_rope_layers": [1, 0, 1], "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    config = config_class(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=44,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=tied,
        max_position_embeddings=128,
        **head,
        **options,
    )
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator) * 0.15
            weight.copy_(1 + noise if "norm" in name else noise)
    return model


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_ragged_appends_and_steps_equal_the_full_forward(kind, kv_heads, tied):
    model = tiny_model(kind, kv_heads=kv_heads, tied=tied)
    decoder = Decoder(model, 64)
    cache = decoder.new_cache(4, 64)
    a, b = random_ids(2, 30)
    ref_a, ref_b = full_logits(model, a), full_logits(model, b)
    assert_close(appended(decoder, cache, (0, a[:5]), (2, b[:11])), torch.cat([ref_a[:5], ref_b[:11]]))
    assert_close(stepped(decoder, cache, [0, 2], [a[5], b[11]]), torch.stack([ref_a[5], ref_b[11]]))
    assert_close(appended(decoder, cache, (2, b[12:13]), (0, a[6:20])), torch.cat([ref_b[12:13], ref_a[6:20]]))
    assert_close(stepped(decoder, cache, [2], [b[13]]), ref_b[13:14])
    assert_close(stepped(decoder, cache, [2, 0], [b[14], a[20]]), torch.stack([ref_b[14], ref_a[20]]))
    assert cache.lengths == [21, 0, 15, 0]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0, 3], [3], [3, 1, 0, 2], [1]])
def test_a_step_does_not_depend_on_which_rows_it_reads(rows):
    model = tiny_model()
    decoder = Decoder(model, 64)
    cache = decoder.new_cache(6, 64)
    ids = random_ids(4, 40)
    lengths = [3, 30, 17, 9]
    appended(decoder, cache, *((row, ids[row][: lengths[row]]) for row in range(4)))
    logits = stepped(decoder, cache, rows, [ids[row][lengths[row]] for row in rows])
    assert_close(logits, torch.stack([full_logits(model, ids[row])[lengths[row]] for row in rows]))
    assert [cache.lengths[row] - lengths[row] for row in range(4)] == [int(row in rows) for row in range(4)]


def test_a_forked_row_goes_its_own_way():
    model = tiny_model(kv_heads=4)
    decoder = Decoder(model, 64)
    cache = decoder.new_cache(2, 64)
    prompt, left, right = random_ids(3, 12)
    appended(decoder, cache, (0, prompt), (1, random_ids(40, seed=1)))
    cache.copy(0, 1, len(prompt))
    logits = appended(decoder, cache, (0, left), (1, right))
    expected = [full_logits(model, prompt + branch)[len(prompt) :] for branch in (left, right)]
    assert_close(logits, torch.cat(expected))


def test_biases_of_every_projection_count():
    model = tiny_model("llama", attention_bias=True, mlp_bias=True)
    decoder = Decoder(model, 64)
    ids = random_ids(20)
    assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(model, ids))


@pytest.mark.parametrize("window", [None, 64])
def test_a_window_that_holds_the_context_changes_nothing(window):
    model = tiny_model("mistral", sliding_window=window)
    decoder = Decoder(model, 64)
    ids = random_ids(60)
    assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(model, ids))


def test_scaled_rotary_embeddings_are_the_models_own():
    scaling = {
        "rope_type": "llama3",
        "rope_theta": 1e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    model = tiny_model("llama", rope_parameters=scaling)
    decoder = Decoder(model, 64)
    ids = random_ids(50)
    assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(model, ids))


def test_bfloat16_stays_near_the_model():
    model = tiny_model().to(torch.bfloat16)
    decoder = Decoder(model, 64)
    ids = random_ids(30)
    logits = appended(decoder, decoder.new_cache(1, 64), (0, ids))
    expected = full_logits(tiny_model(), ids)
    allowed = 2 * (full_logits(model, ids) - expected).abs().max()
    assert (logits - expected).abs().max() < allowed


def test_refresh_reads_changed_weights():
    model = tiny_model()
    decoder = Decoder(model, 64)
    ids = random_ids(10)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    assert (appended(decoder, decoder.new_cache(1, 64), (0, ids)) - full_logits(model, ids)).abs().max() > 1e-3
    decoder.refresh()
    assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(model, ids))


def test_lora_deltas_are_read():
    torch.manual_seed(0)
    wrapped = peft.get_peft_model(
        tiny_model(), peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    ).eval()
    model = wrapped.get_base_model()
    decoder = Decoder(model, 64)
    ids = random_ids(10)
    assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(wrapped, ids))
    with wrapped.disable_adapter():
        decoder.refresh()
        assert_close(appended(decoder, decoder.new_cache(1, 64), (0, ids)), full_logits(tiny_model(), ids))


def adapted(dtype, size):
    torch.manual_seed(0)
    lora = peft.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", init_lora_weights=False)
    wrapped = peft.get_peft_model(tiny_model("qwen2").to(dtype), lora).eval()
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.mul_(size)
    return wrapped


@pytest.mark.parametrize("size", [1.0, 1e-4])
def test_an_adapter_beside_16_bit_weights_is_not_rounded_away(size):
    wrapped = adapted(torch.bfloat16, size)
    layer = wrapped.get_base_model().model.layers[1]
    read = read_layer(layer, 8)
    states = torch.randn(7, 32).to(torch.bfloat16)
    inner = torch.randn(7, 44).to(torch.bfloat16)
    attention, mlp = layer.self_attn, layer.mlp
    with torch.inference_mode():
        queries, keys, values = (linear(states) for linear in (attention.q_proj, attention.k_proj, attention.v_proj))
        halves = [heads.view(7, -1, 2, 4).transpose(2, 3).flatten(1) for heads in (queries, keys)]
        assert torch.equal(read.qkv(states), torch.cat([*halves, values], -1))
        assert torch.equal(read.gate_up(states), torch.cat([mlp.gate_proj(states), mlp.up_proj(states)], -1))
        assert torch.equal(read.out(states), attention.o_proj(states))
        assert torch.equal(read.down(inner), mlp.down_proj(inner))
    assert torch.equal(read.out.weight, attention.o_proj.base_layer.weight)


def test_a_bfloat16_model_with_an_adapter_stays_near_the_model():
    wrapped = adapted(torch.bfloat16, 1.0)
    decoder = Decoder(wrapped.get_base_model(), 64)
    ids = random_ids(12)
    expected = full_logits(adapted(torch.float32, 1.0), ids)
    allowed = 2 * (full_logits(wrapped, ids) - expected).abs().max()
    assert (appended(decoder, decoder.new_cache(1, 64), (0, ids)) - expected).abs().max() < allowed


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "qwen2", "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        {"kind": "mistral", "sliding_window": 63},
        {"kind": "llama", "hidden_act": "gelu"},
        {"kind": "llama", "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_shapes_it_would_compute_wrongly_are_refused(options):
    with pytest.raises(UsageError):
        Decoder(tiny_model(**options), 64)


def test_a_cache_beyond_memory_is_one_clear_error():
    with pytest.raises(ResourceError, match="KV cache"):
        Decoder(tiny_model(), 64).new_cache(10**9, 10**6)
