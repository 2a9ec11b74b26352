"""Training an adapter: resumed bit for bit, kept alone, pulled towards the model under it."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint, verify_checkpoint, weights_file
from agent.grpo.divergence import mark_best_finite
from agent.grpo.trainer import GrpoTrainer
from agent.lora import ADAPTER_WEIGHTS, adapter_state
from agent.model_config import ModelConfig
from agent.model_loading import load_trainee
from inbox_env.errors import CorruptError
from tests.agent.grpo.test_trainer import Stopped, assert_same_state, played, rows, spread
from tests.agent.tiny import make_config, write_model_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer):
    return write_model_folder(tmp_path_factory.mktemp("site") / "base", tokenizer)


@pytest.fixture
def make_trainer(arena, base):
    def make(folder, *, seed=3, model=None, **sections):
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"path": str(base), "lora_rank": 4, **(model or {})}
        config = make_config(folder, model=settings, **sections)
        loaded = load_trainee(config.model, seed=seed)
        trainer = GrpoTrainer(config, loaded.model, loaded.chat, arena, arena, folder)
        trainer.grader.reward_fn = spread
        return trainer

    return make


def frozen(model):
    return {name: weight.clone() for name, weight in model.named_parameters() if not weight.requires_grad}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_run_equals_the_undisturbed_one_bit_for_bit(tmp_path, make_trainer, dtype):
    model = {"dtype": dtype, "gradient_checkpointing": dtype == "bfloat16"}
    whole = make_trainer(tmp_path / "whole", model=model)
    before = frozen(whole.model)
    whole.train()
    cut = make_trainer(tmp_path / "cut", model=model)

    def stop(row):
        if row["step"] == 3:
            raise Stopped

    with pytest.raises(Stopped):
        cut.train(stop)
    again = make_trainer(tmp_path / "cut", model=model, seed=99)
    assert again.resume()
    assert again.step == 2
    again.train()
    assert_same_state(whole, again)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    assert played(tmp_path / "whole") == played(tmp_path / "cut")
    assert any(tensor.abs().max() > 0 for name, tensor in adapter_state(again.model).items() if "lora_B" in name)
    assert all(torch.equal(before[name], weight) for name, weight in frozen(again.model).items())


def test_a_checkpoint_holds_the_adapter_alone(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path)
    trainer.train()
    path = latest_checkpoint(tmp_path)
    assert {file.name for file in path.iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "optimizer.safetensors",
        "state.json",
        "manifest.json",
    }
    assert weights_file(path).name == ADAPTER_WEIGHTS
    stored = load_file(weights_file(path))
    assert all(torch.equal(tensor, stored[name]) for name, tensor in adapter_state(trainer.model).items())
    assert all("lora_" in name for name in stored)
    assert json.loads((path / "manifest.json").read_text())["base"] == verify_checkpoint(path).base == trainer._base
    assert mark_best_finite(tmp_path) == path


def test_the_adapter_is_not_put_on_another_model(tmp_path, make_trainer, tokenizer):
    make_trainer(tmp_path).train()
    other = write_model_folder(tmp_path / "other", tokenizer, seed=1)
    again = make_trainer(tmp_path, model={"path": str(other)})
    before = {name: weight.clone() for name, weight in again.model.named_parameters()}
    with pytest.raises(CorruptError, match="base model has changed"):
        again.resume()
    assert all(torch.equal(before[name], weight) for name, weight in again.model.named_parameters())


def test_an_adapter_of_another_rank_is_refused(tmp_path, make_trainer):
    make_trainer(tmp_path).train()
    again = make_trainer(tmp_path, model={"lora_rank": 2})
    with pytest.raises(CorruptError, match="another model"):
        again.resume()


def test_a_changed_byte_of_the_base_counts(tmp_path, tokenizer, make_trainer):
    base = write_model_folder(tmp_path / "own", tokenizer)
    trainer = make_trainer(tmp_path / "run", model={"path": str(base)}, grpo={"steps": 2})
    trainer.train()
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    again = make_trainer(tmp_path / "run", model={"path": str(base)}, grpo={"steps": 2})
    with pytest.raises(CorruptError, match="base model has changed"):
        load_checkpoint(latest_checkpoint(tmp_path / "run"), again.model, base=again._base)


def test_the_pull_is_towards_the_model_under_the_adapter(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, loss={"kl": 1.0})
    assert trainer._reference is not None
    trainer.train()
    found = rows(tmp_path)
    assert found[0]["ref_kl"] == pytest.approx(0.0, abs=1e-6)
    assert found[-1]["ref_kl"] > 1e-7


def test_what_the_sampler_says_has_the_trainers_probability(tmp_path, make_trainer):
    trainer = make_trainer(tmp_path, grpo={"learning_rate": 0.005})
    trainer.train()
    for row in rows(tmp_path):
        assert row["ratio_mean"] == pytest.approx(1.0, abs=1e-3)


def test_a_seed_gives_the_adapter(base):
    config = ModelConfig(path=base, lora_rank=2)
    first, again, other = (adapter_state(load_trainee(config, seed=seed).model) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
