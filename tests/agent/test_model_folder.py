"""Model folders: what was saved is what is loaded, by us and by plain transformers; damage is named in one line."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agent.agent_card import AGENT_CARD, AgentCard
from agent.chat_format import ChatFormat
from agent.model_folder import LoadedModel, load_model, save_model
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import CorruptError, ExitCode, MailsleuthError, ResourceError, UsageError
from tests.agent.tiny import LIMITS, make_model, write_model_folder

IDS = torch.arange(20, 60)[None]


@pytest.fixture
def folder(tokenizer, tmp_path):
    return write_model_folder(tmp_path / "model", tokenizer)


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


def refused(path):
    with pytest.raises(MailsleuthError) as failure:
        load_model(path)
    line = failure.value.line()
    assert "\n" not in line
    assert str(path) in line
    return failure.value


def test_a_saved_model_is_loaded_with_the_same_logits(folder, chat):
    loaded = load_model(folder)
    assert torch.equal(logits(loaded.model), logits(make_model()))
    assert loaded.card == AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=12, max_context=384)
    assert loaded.chat.prompt_ids("s", "Where is Ada?") == chat.prompt_ids("s", "Where is Ada?")


def test_a_model_in_training_is_saved_as_plain_transformers_loads_it(tokenizer, tmp_path):
    model = make_model()
    enable_segment_attention(model)
    attention = model.config._attn_implementation
    save_model(tmp_path, LoadedModel(model, ChatFormat(tokenizer), AgentCard()))
    assert model.config._attn_implementation == attention
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(logits(plain), logits(make_model()))
    words = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert words.chat_template == tokenizer.chat_template
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_a_run_folder_is_its_model(folder):
    assert torch.equal(logits(load_model(folder.parent).model), logits(make_model()))


def test_models_loaded_by_several_threads_at_once_are_whole(folder):
    wanted = logits(make_model())
    with ThreadPoolExecutor(4) as threads:
        assert all(torch.equal(logits(loaded.model), wanted) for loaded in threads.map(load_model, [folder] * 24))
    assert torch.equal(logits(load_model(folder).model), wanted)


def test_a_model_without_a_card_is_used_as_it_comes(folder):
    (folder / AGENT_CARD).unlink()
    assert load_model(folder).card == AgentCard()


@pytest.mark.parametrize("damage", ["cut", "emptied", "garbled", "header"])
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-1000], "emptied": b"", "garbled": b"x" * 999, "header": b"\xff" * 8 + whole}[damage]
    )
    assert refused(folder).exit_code == ExitCode.CORRUPT


def test_weights_that_are_not_all_there_are_refused_instead_of_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    failure = refused(folder)
    assert isinstance(failure, CorruptError)
    assert "model.layers.1.mlp.up_proj.weight" in str(failure)


def test_weights_of_another_shape_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    assert isinstance(refused(folder), CorruptError)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": "no-such-model"}', "\x00"])
def test_a_damaged_model_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    assert isinstance(refused(folder), CorruptError)


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"version": "1.0"}', b"\xff\xfe"])
def test_a_missing_or_damaged_tokenizer_is_refused(folder, content):
    path = folder / "tokenizer.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert refused(folder).exit_code in (ExitCode.CORRUPT, ExitCode.USAGE)


def test_pickled_weights_are_not_read(folder):
    torch.save(make_model().state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert refused(folder).exit_code == ExitCode.CORRUPT


def test_code_that_comes_with_a_model_is_not_run(folder, tmp_path):
    marker = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    maps = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": maps}))
    refused(folder)
    assert not marker.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"limits": 3}', '{"prompts": "x"}', '{"max_new_tokens": 0}'])
def test_a_damaged_card_is_refused(folder, text):
    (folder / AGENT_CARD).write_text(text)
    with pytest.raises(CorruptError, match="agent card is damaged"):
        load_model(folder)


def test_a_folder_without_a_model_is_refused(tmp_path):
    assert isinstance(refused(tmp_path), UsageError)
    assert isinstance(refused(tmp_path / "absent"), UsageError)


def test_a_full_disk_is_named(tokenizer, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(ResourceError, match="No space left"):
        write_model_folder(tmp_path / "model", tokenizer)
