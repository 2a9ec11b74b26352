"""The model to train: what is asked for is what is loaded, and what this machine cannot do is refused in one line."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from agent import model_loading
from agent.base_identity import folder_sha256
from agent.devices import resolve_device
from agent.lora import ADAPTER_CONFIG, adapter_state, is_adapted, plain_model
from agent.model_config import ModelConfig
from agent.model_folder import load_model, save_model
from agent.model_loading import find_model, load_trainee
from agent.policies import load_policy
from agent.rollout import rollout_many
from agent.sampling.torch_engine import TorchEngine
from inbox_env.errors import CorruptError, ExitCode, MailsleuthError, UpstreamError, UsageError
from tests.agent.tiny import make_model, write_model_folder

IDS = torch.arange(20, 60)[None]
HUB_NAME = Path("nobody/no-such-model")
has_cuda = torch.cuda.is_available()


@pytest.fixture
def base(tokenizer, tmp_path):
    return write_model_folder(tmp_path / "base", tokenizer)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def train_a_little(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)


@pytest.fixture
def adapter(base, tmp_path):
    """A saved adapter on `base`, and what it says."""
    loaded = load_trainee(ModelConfig(path=base, lora_rank=4), seed=1)
    train_a_little(loaded.model)
    save_model(tmp_path / "run" / "model", loaded)
    return tmp_path / "run", logits(loaded.model)


def refused(call, kind):
    with pytest.raises(kind) as failure:
        call()
    assert "\n" not in failure.value.line()
    assert isinstance(failure.value, MailsleuthError)
    return failure.value


def test_by_default_all_weights_are_trained_as_they_are(base):
    loaded = load_trainee(ModelConfig(path=base))
    assert not is_adapted(loaded.model)
    assert all(weight.requires_grad and weight.dtype == torch.float32 for weight in loaded.model.parameters())
    assert torch.equal(logits(loaded.model), logits(make_model()))


def test_bfloat16_is_what_is_held_and_adapters_stay_float32(base):
    loaded = load_trainee(ModelConfig(path=base, dtype="bfloat16", lora_rank=4))
    assert {weight.dtype for weight in loaded.model.parameters() if not weight.requires_grad} == {torch.bfloat16}
    assert {weight.dtype for weight in loaded.model.parameters() if weight.requires_grad} == {torch.float32}
    engine = TorchEngine(loaded.model, stop_token_ids=set(), max_rows=2, max_context=16)
    assert engine._decoder.logits(torch.zeros(1, 32, dtype=torch.bfloat16)).dtype == torch.float32


def test_an_adapter_folder_is_loaded_on_its_base(adapter):
    run, wanted = adapter
    loaded = load_model(run)
    assert torch.equal(logits(loaded.model), wanted)
    assert loaded.card.prompt == "laptop"
    assert loaded.card.base_sha256
    assert {path.suffix for path in (run / "model").iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_a_run_with_an_adapter_plays_as_a_policy(adapter, arena):
    run, _ = adapter
    policy = load_policy(f"local:{run}")
    (played,) = asyncio.run(rollout_many(policy, arena.envs(arena.questions[:1])))
    assert played.trajectory.turns
    assert is_adapted(load_model(run).model)


def test_run_and_base_can_be_moved_together(adapter, base, tmp_path, monkeypatch):
    run, wanted = adapter
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(run, elsewhere / "run")
    shutil.move(base, elsewhere / "base")
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits(load_model(elsewhere / "run").model), wanted)


def test_an_adapter_without_its_base_is_refused(adapter, base):
    run, _ = adapter
    base.rename(base.with_name("gone"))
    error = refused(lambda: load_model(run), UsageError)
    assert "not here" in str(error)


def test_an_adapter_on_a_changed_base_is_refused(adapter, base):
    run, _ = adapter
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert "has changed" in str(refused(lambda: load_model(run), CorruptError))


def test_a_new_run_starts_from_what_an_adapter_says(adapter):
    run, wanted = adapter
    whole = load_trainee(ModelConfig(path=run))
    assert not is_adapted(whole.model)
    torch.testing.assert_close(logits(whole.model), wanted, rtol=0, atol=1e-5)
    again = load_trainee(ModelConfig(path=run, lora_rank=2))
    torch.testing.assert_close(logits(again.model), wanted, rtol=0, atol=1e-5)
    with again.model.disable_adapter():
        torch.testing.assert_close(logits(again.model), wanted, rtol=0, atol=1e-5)


def test_an_adapter_on_an_adapter_finds_both(adapter, tmp_path):
    run, _ = adapter
    loaded = load_trainee(ModelConfig(path=run, lora_rank=2), seed=3)
    train_a_little(loaded.model)
    save_model(tmp_path / "second", loaded)
    assert torch.equal(logits(load_model(tmp_path / "second").model), logits(loaded.model))
    assert folder_sha256(tmp_path / "second") != folder_sha256(run / "model")


def test_a_warm_start_goes_on_in_the_same_adapter(adapter, base):
    run, wanted = adapter
    loaded = load_trainee(ModelConfig(path=base, lora_rank=4), started=run / "model")
    assert torch.equal(logits(loaded.model), wanted)
    assert all(weight.requires_grad == ("lora_" in name) for name, weight in loaded.model.named_parameters())
    with loaded.model.disable_adapter():
        assert torch.equal(logits(loaded.model), logits(make_model()))
    assert len(adapter_state(loaded.model)) == 2 * 7 * 2


def test_a_name_of_the_hub_needs_consent(monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    error = refused(lambda: find_model(HUB_NAME), UsageError)
    assert "model.allow_download" in str(error)


def test_an_unreachable_hub_is_one_clear_line(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled

    fetch = huggingface_hub.snapshot_download

    def offline(name, *, local_files_only=False, **options):
        if local_files_only:
            return fetch(name, local_files_only=True, **options)
        raise OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    error = refused(lambda: find_model(HUB_NAME, allow_download=True), UpstreamError)
    assert error.exit_code == ExitCode.UPSTREAM
    assert HUB_NAME.as_posix() in str(error)


def test_what_is_fetched_is_weights_and_text(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def fetch(name, *, local_files_only=False, allow_patterns=None):
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert find_model(HUB_NAME, allow_download=True) == tmp_path
    assert asked
    assert not [pattern for pattern in asked if pattern.endswith((".bin", ".pt", ".py", "*"))]


@pytest.mark.parametrize("name", ["a/b/c", "model", "../x", "/a/b"])
def test_a_mistyped_folder_is_not_looked_up(name):
    assert find_model(Path(name)) == Path(name)


@pytest.mark.skipif(has_cuda, reason="there is a CUDA device")
@pytest.mark.parametrize("options", [{"load_in_4bit": True}, {"loader": "unsloth"}])
def test_what_needs_a_gpu_is_refused_without_one(base, options):
    error = refused(lambda: load_trainee(ModelConfig(path=base, lora_rank=4, **options)), UsageError)
    assert "needs a CUDA device" in str(error)


@pytest.mark.parametrize(
    ("options", "package"), [({"load_in_4bit": True}, "bitsandbytes"), ({"loader": "unsloth"}, "unsloth")]
)
def test_a_package_that_is_missing_is_named(base, monkeypatch, options, package):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(model_loading, "find_spec", lambda name: None)
    error = refused(lambda: model_loading.check_loader(ModelConfig(path=base, lora_rank=4, **options)), UsageError)
    assert f"needs the package {package}" in str(error)
    assert "mailsleuth[gpu]" in str(error)


class FastLanguageModel:
    """The two functions of unsloth that are used, as they are called, on transformers and peft."""

    @staticmethod
    def from_pretrained(*, model_name, max_seq_length, dtype, load_in_4bit, fast_inference, **options):
        assert not any((load_in_4bit, fast_inference, options.pop("trust_remote_code")))
        assert options.pop("use_safetensors") is options.pop("local_files_only") is True
        return load_model(Path(model_name), dtype=dtype).model, "a tokenizer"

    @staticmethod
    def get_peft_model(model, *, r, lora_alpha, target_modules, lora_dropout, bias, random_state, **_):
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(random_state)
        lora = LoraConfig(
            r=r, lora_alpha=lora_alpha, target_modules=target_modules, lora_dropout=lora_dropout, bias=bias
        )
        return get_peft_model(model, lora)


@pytest.fixture
def unsloth(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(model_loading, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "unsloth", SimpleNamespace(FastLanguageModel=FastLanguageModel))


def test_what_unsloth_loads_is_trained_and_saved_like_any_other(base, unsloth, tmp_path):
    config = ModelConfig(path=base, loader="unsloth", lora_rank=4)
    loaded = load_trainee(config, seed=1)
    assert torch.equal(logits(loaded.model), logits(make_model()))
    train_a_little(loaded.model)
    wanted = logits(loaded.model)
    save_model(tmp_path / "warm", loaded)
    assert torch.equal(logits(load_trainee(config, started=tmp_path / "warm").model), wanted)
    assert torch.equal(logits(load_model(tmp_path / "warm").model), wanted)


@pytest.mark.parametrize("options", [{"load_in_4bit": True}, {"loader": "unsloth"}])
def test_an_adapter_is_not_put_on_an_adapter_where_it_cannot_be_merged(adapter, unsloth, options):
    run, _ = adapter
    error = refused(lambda: load_trainee(ModelConfig(path=run, lora_rank=2, **options)), UsageError)
    assert "export --merged" in str(error)


@pytest.mark.parametrize("options", [{"load_in_4bit": True}, {"loader": "unsloth"}])
def test_frozen_weights_need_an_adapter(options):
    with pytest.raises(ValidationError, match="lora_rank"):
        ModelConfig(**options)


def test_a_name_that_is_no_device_is_refused():
    assert "no such device" in str(refused(lambda: resolve_device("gpu5"), UsageError))
    assert resolve_device("cpu") == "cpu"


def test_an_adapter_names_its_base_as_a_neighbour(adapter, base):
    run, _ = adapter
    content = json.loads((run / "model" / ADAPTER_CONFIG).read_text())
    assert content["base_model_name_or_path"] == "../../base"
    assert plain_model(load_model(run).model).config.model_type == "llama"
