"""Any architecture with full attention is sampled as the model computes it; what would be wrong is refused."""

from __future__ import annotations

import asyncio

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from agent.gradient_checkpointing import enable_gradient_checkpointing
from agent.lora import add_lora
from agent.sampling.decoder import Decoder
from agent.sampling.decoders import make_decoder
from agent.sampling.hf_decoder import HfDecoder
from agent.sampling.torch_engine import TorchEngine
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import UsageError
from tests.agent.decoding import VOCABULARY, appended, full_logits, random_ids, stepped

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 44,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
OTHERS = ["gpt2", "phi3", "olmo2", "stablelm", "gpt_neox", "qwen3_moe", "granite"]


def tiny_model(kind, **options):
    """A random model of any architecture, its weights larger than at the usual start."""
    torch.manual_seed(0)
    shape = {**SHAPE, **options}
    if kind == "qwen3_moe":
        shape |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8}
    if kind == "gpt2":
        shape = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128}
        shape |= {"bos_token_id": None, "eos_token_id": None}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name and "ln_" not in name:
                weight.mul_(4)
    return model


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-5)


def check(model):
    decoder = HfDecoder(model, 64)
    cache = decoder.new_cache(4, 64)
    a, b = random_ids(2, 30)
    ref_a, ref_b = full_logits(model, a), full_logits(model, b)
    assert_close(appended(decoder, cache, (0, a[:5]), (2, b[:11])), torch.cat([ref_a[:5], ref_b[:11]]))
    assert_close(stepped(decoder, cache, [0, 2], [a[5], b[11]]), torch.stack([ref_a[5], ref_b[11]]))
    assert_close(appended(decoder, cache, (2, b[12:13]), (0, a[6:20])), torch.cat([ref_b[12:13], ref_a[6:20]]))
    assert_close(stepped(decoder, cache, [2, 0], [b[13], a[20]]), torch.stack([ref_b[13], ref_a[20]]))
    assert cache.lengths == [21, 0, 14, 0]
    cache.copy(0, 1, 6)
    assert_close(stepped(decoder, cache, [1], [a[6]]), ref_a[6:7])


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind != "granite"])
def test_ragged_appends_and_steps_equal_the_full_forward(kind):
    model = tiny_model(kind)
    assert isinstance(make_decoder(model, 64), HfDecoder)
    check(model)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_it_agrees_with_the_fast_decoder_where_there_is_one(kind):
    model = tiny_model(kind, head_dim=8)
    assert isinstance(make_decoder(model, 64), Decoder)
    check(model)


def test_a_model_in_training_is_sampled_and_left_as_it_was():
    model = tiny_model("phi3")
    plain = full_logits(model, ids := random_ids(9))
    enable_segment_attention(model)
    enable_gradient_checkpointing(model)
    attention, modes = model.config._attn_implementation, [module.training for module in model.modules()]
    decoder = HfDecoder(model, 16)
    assert_close(appended(decoder, decoder.new_cache(1, 16), (0, ids)), plain)
    assert model.config._attn_implementation == attention
    assert [module.training for module in model.modules()] == modes


def test_an_adapter_is_sampled_with_the_base():
    adapted = add_lora(tiny_model("phi3"), rank=2, alpha=8.0, base="base")
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    decoder = make_decoder(adapted, 32)
    ids = random_ids(9)
    logits = appended(decoder, decoder.new_cache(1, 32), (0, ids))
    assert_close(logits, full_logits(adapted, ids))
    with adapted.disable_adapter():
        assert (logits - full_logits(adapted, ids)).abs().max() > 0.1


def test_an_engine_over_it_samples_many_rows_with_the_models_logprobs():
    model = tiny_model("gpt2")
    engine = TorchEngine(model, stop_token_ids={5}, max_rows=4, max_context=64)

    async def play(seed):
        session = engine.open(seed)
        first = await session.sample([1, 2, 3], 6)
        second = await session.sample([7, 8], 4)
        session.close()
        return [1, 2, 3, *first.token_ids, 7, 8, *second.token_ids], first, second

    async def play_all():
        return await asyncio.gather(*(play(seed) for seed in range(9)))

    for ids, first, second in asyncio.run(play_all()):
        logprobs = full_logits(model, ids).log_softmax(-1)
        wanted = [logprobs[place, token].item() for place, token in enumerate(ids[1:])]
        assert first.logprobs == pytest.approx(wanted[2 : 2 + len(first.token_ids)], abs=1e-4)
        assert second.logprobs == pytest.approx(wanted[-len(second.token_ids) :], abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("granite", {"logits_scaling": 8.0}),  # its logits are scaled after the head
        ("mamba", {}),
        ("bloom", {}),  # positions come from the mask
        ("gemma3_text", {"sliding_window": 16, "head_dim": 8}),
        ("gemma2", {"head_dim": 8, "sliding_window": 4096}),  # its logits are capped
    ],
)
def test_a_model_that_it_would_compute_wrongly_is_refused(kind, options):
    with pytest.raises(UsageError) as failure:
        make_decoder(tiny_model(kind, **options), 64)
    assert "\n" not in failure.value.line()
