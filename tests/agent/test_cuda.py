"""On a CUDA device: the sampler equals the model, the trainer learns, 4 bits load. Skipped without one."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from agent.grpo.trainer import GrpoTrainer
from agent.model_config import ModelConfig
from agent.model_loading import load_trainee
from agent.sampling.cached_model import Append
from agent.sampling.decoder import Decoder
from agent.sampling.hf_decoder import HfDecoder
from tests.agent.grpo.test_trainer import rows, spread
from tests.agent.test_hf_decoder import full_logits, random_ids, tiny_model
from tests.agent.tiny import make_config, write_model_folder

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("kind", [Decoder, HfDecoder])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-3), (torch.bfloat16, 0.2)])
def test_ragged_appends_and_steps_equal_the_full_forward(kind, dtype, allowed):
    model = tiny_model("qwen3", head_dim=8)
    wanted = [full_logits(model, ids) for ids in random_ids(2, 20)]
    decoder = kind(model.to("cuda", dtype), 32)
    cache = decoder.new_cache(3, 32)
    a, b = random_ids(2, 20)
    with torch.inference_mode():
        found = [decoder.logits(decoder.append(cache, [Append(0, a[:5]), Append(2, b[:9])]))]
        found.append(decoder.logits(decoder.step(cache, [0, 2], [a[5], b[9]])))
    expected = torch.cat([wanted[0][:5], wanted[1][:9], wanted[0][5:6], wanted[1][9:10]])
    assert (torch.cat(found).cpu() - expected).abs().max() < allowed * expected.abs().max()


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_on_the_device_learns_from_what_its_sampler_said(tmp_path, arena, tokenizer, rank, dtype):
    base = write_model_folder(tmp_path / "base", tokenizer)
    model = {"path": str(base), "lora_rank": rank, "dtype": dtype, "device": "cuda", "gradient_checkpointing": True}
    config = make_config(tmp_path, model=model)
    loaded = load_trainee(config.model, seed=1)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, arena, arena, tmp_path)
    trainer.grader.reward_fn = spread
    trainer.train()
    assert all(row["ratio_mean"] == pytest.approx(1.0, abs=0.05) for row in rows(tmp_path))
    again = GrpoTrainer(config, load_trainee(config.model).model, loaded.chat, arena, arena, tmp_path)
    assert again.resume()


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_four_bits_load_with_an_adapter(tmp_path, tokenizer):
    base = write_model_folder(tmp_path / "base", tokenizer)
    config = ModelConfig(path=base, lora_rank=2, load_in_4bit=True, dtype="bfloat16", device="cuda")
    model = load_trainee(config).model
    assert model(input_ids=torch.arange(20, 40, device="cuda")[None]).logits.isfinite().all()
