"""The estimate of memory: what raises it and what lowers it, a size known by hand, and the laptop run's true peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config

from agent.grpo.config import load_config
from agent.grpo.memory_plan import ModelShape, check_memory, plan_memory
from agent.model_shape import read_shape, shape_of
from inbox_env.errors import CorruptError, ExitCode, ResourceError
from tests.agent.tiny import make_config, make_model, write_model_folder

ROOT = Path(__file__).resolve().parents[3]
BELOW, ABOVE = 2.0, 1.5  # the promise: the truth lies between half of the estimate (pages of the cache that no row
# reaches are never touched) and half as much again
SEVEN_B = ModelShape(7_615_616_512, 6_525_288_448, 28 * 90_112, 28, 3584, 18944, 28, 4, 128, 152_064)


def plan(num_processes=1, **sections):
    sampling = {"max_rows": 64, "max_context": 4096, "max_new_tokens": 512, **sections.pop("sampling", {})}
    grpo = {"micro_batch_tokens": 8192, **sections.pop("grpo", {})}
    return plan_memory(make_config(Path("x"), sampling=sampling, grpo=grpo, **sections), SEVEN_B, num_processes)


def test_a_seven_billion_model_has_the_sizes_that_arithmetic_gives():
    lora = plan(model={"dtype": "bfloat16", "lora_rank": 16, "gradient_checkpointing": True})
    assert lora.weights == pytest.approx(14.2 + 0.15, rel=0.02)
    assert lora.kv_cache == pytest.approx(2 * 28 * 4 * 128 * 64 * 4096 * 2 / 2**30)
    assert lora.optimizer == pytest.approx(8 * 16 * 28 * 90_112 / 2**30)
    whole = plan(model={"dtype": "bfloat16"})
    assert whole.gradients + whole.optimizer == pytest.approx(14 * 7_615_616_512 / 2**30)
    assert whole.total_gb > 80 > lora.total_gb


def test_shards_split_what_is_trained_and_add_a_copy_of_the_weights():
    whole = plan(model={"dtype": "bfloat16"})
    shards = plan(4, model={"dtype": "bfloat16"}, grpo={"strategy": "shard"})
    assert shards.gradients + shards.optimizer == pytest.approx((whole.gradients + whole.optimizer) / 4)
    assert shards.weights == pytest.approx(1.25 * whole.weights)
    ends = 2 * 152_064 * 3584  # embeddings and head; a layer has a fifth of their weights
    layers = 2 * SEVEN_B.num_linear_params / 28
    assert shards.gathered == pytest.approx((2 * (ends + layers) + (2 + 4) * ends) / 2**30, rel=0.01)
    adapter = {"dtype": "bfloat16", "lora_rank": 16}
    frozen = plan(4, model=adapter, grpo={"strategy": "shard"})
    assert frozen.gathered == pytest.approx(2 * (ends + layers) / 2**30, rel=0.01)
    assert (whole.gathered, plan(model=adapter).gathered) == (0, 0)
    assert plan(1, model={"dtype": "bfloat16"}, grpo={"strategy": "shard"}) == whole
    assert plan(4, model={"dtype": "bfloat16"}) == whole


def test_the_shape_is_that_of_the_named_model():
    config = Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    import torch

    with torch.device("meta"):
        assert shape_of(AutoModelForCausalLM.from_config(config)) == SEVEN_B


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"model": {"dtype": "bfloat16", "lora_rank": 16, "load_in_4bit": True}}, "weights"),
        ({"model": {"dtype": "bfloat16", "lora_rank": 16, "gradient_checkpointing": True}}, "activations"),
        ({"grpo": {"micro_batch_tokens": 4096}, "model": {"dtype": "bfloat16", "lora_rank": 16}}, "activations"),
        ({"sampling": {"max_rows": 16}, "model": {"dtype": "bfloat16", "lora_rank": 16}}, "kv_cache"),
        ({"model": {"dtype": "bfloat16", "lora_rank": 8}}, "optimizer"),
    ],
)
def test_what_saves_memory_lowers_its_part(options, part):
    full = plan(model={"dtype": "bfloat16", "lora_rank": 16})
    saving = plan(**options)
    assert getattr(saving, part) < 0.6 * getattr(full, part)
    assert saving.total_gb < full.total_gb


def test_a_reference_costs_a_copy_only_where_there_is_no_adapter():
    held = {"loss": {"kl": 0.1}}
    assert plan(**held).weights == pytest.approx(2 * plan().weights)
    assert plan(model={"lora_rank": 4}, **held).weights == plan(model={"lora_rank": 4}).weights


def test_what_servers_sample_needs_no_cache_here():
    served = plan(model={"dtype": "bfloat16", "lora_rank": 16}, sampling={"engine": "vllm"})
    assert (served.kv_cache, served.sampler_weights, served.sampler_activations) == (0, 0, 0)


def test_processes_that_share_a_memory_are_counted_together():
    found = plan()
    one, four = found.line(), found.line(4)
    assert "processes" not in one
    assert f"in each of 4 processes, {4 * found.total_gb:.1f} GiB together" in four
    limit = found.total_gb * 2
    check_memory(found, limit)
    with pytest.raises(ResourceError, match=f"4 processes of the run need about {4 * found.total_gb:.1f} GiB"):
        check_memory(found, limit, 4)
    shards = plan(4, grpo={"strategy": "shard"})
    assert shards.gradients + shards.optimizer == pytest.approx((found.gradients + found.optimizer) / 4)


def test_a_run_above_its_limit_is_refused_with_the_numbers():
    found = plan()
    check_memory(found, None)
    check_memory(found, found.total_gb + 1)
    with pytest.raises(ResourceError, match="more than the 24 allowed") as failure:
        check_memory(found, 24.0)
    assert failure.value.exit_code == ExitCode.RESOURCE
    assert found.line().startswith(f"memory: about {found.total_gb:.1f} GiB (")


def test_the_shape_of_a_folder_is_read_without_its_weights(tmp_path, tokenizer):
    folder = write_model_folder(tmp_path / "m", tokenizer)
    (folder / "model.safetensors").unlink()
    assert read_shape(folder) == shape_of(make_model())
    (folder / "config.json").write_text("{")
    with pytest.raises(CorruptError):
        read_shape(folder)


def test_every_shape_that_transformers_names_otherwise_is_understood():
    config = AutoConfig.for_model("gpt2", vocab_size=61, n_embd=32, n_layer=3, n_head=4, n_positions=64)
    shape = shape_of(AutoModelForCausalLM.from_config(config))
    assert (shape.num_layers, shape.hidden, shape.num_kv_heads, shape.head_dim) == (3, 32, 4, 8)


@pytest.mark.slow
def test_the_laptop_runs_peak_is_what_was_estimated(tmp_path):
    options = ["grpo.steps=1", "eval.num_test_questions=4", "eval.every=0", f"run.out={tmp_path}"]
    command = "import sys; from scripts.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["train", "--config", "scripts/configs/laptop.toml", *(f"--set={option}" for option in options)]
    subprocess.run([sys.executable, "-c", command, *arguments], cwd=ROOT, check=True, capture_output=True)
    peak = json.loads((tmp_path / "laptop" / "summary.json").read_text())["train"]["peak_rss_mb"] / 1024
    config = load_config(ROOT / "scripts" / "configs" / "laptop.toml")
    estimate = plan_memory(config, read_shape(ROOT / config.model.path)).total_gb
    assert estimate / BELOW < peak < estimate * ABOVE


def test_the_example_for_a_gpu_fits_a_card_of_80_gib():
    shape = ModelShape(1_543_714_304, 1_310_195_712, 28 * 41_216, 28, 1536, 8960, 12, 2, 128, 151_936)
    config = load_config(ROOT / "scripts" / "configs" / "qwen_lora.toml")
    assert plan_memory(config, shape).total_gb < 80
