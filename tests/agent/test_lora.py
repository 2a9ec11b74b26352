"""LoRA: the adapter is all that is trained, it starts as nothing, and it is read from safetensors or not at all."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from agent.gradient_checkpointing import enable_gradient_checkpointing
from agent.grpo.logprobs import action_logprobs
from agent.grpo.packing import pack
from agent.grpo.reference import make_reference
from agent.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapter_config,
    adapter_state,
    add_lora,
    apply_adapter,
    load_adapter_state,
    merge_adapter,
    plain_model,
    read_adapter_config,
)
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import CorruptError, UsageError
from tests.agent.grpo.builders import make_model, make_samples

IDS = torch.arange(20, 60)[None]


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def trained(seed=0, **options):
    """An adapted model whose adapter does something."""
    model = add_lora(make_model(**options), rank=4, alpha=8.0, base="base", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


def write(folder, model):
    folder.mkdir(exist_ok=True)
    save_file(adapter_state(model), folder / ADAPTER_WEIGHTS)
    (folder / ADAPTER_CONFIG).write_text(adapter_config(model))
    return folder


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained():
    model = add_lora(make_model(), rank=4, alpha=8.0, base="base")
    assert torch.equal(logits(model), logits(make_model()))
    trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name in trainable}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_the_same_seed_gives_the_same_adapter_and_leaves_the_global_stream_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    base = make_model  # its own seed
    model = base()
    torch.manual_seed(5)
    first = adapter_state(add_lora(model, rank=4, alpha=8.0, base="b", seed=1))
    assert torch.equal(torch.rand(3), wanted)
    again = adapter_state(add_lora(make_model(), rank=4, alpha=8.0, base="b", seed=1))
    other = adapter_state(add_lora(make_model(), rank=4, alpha=8.0, base="b", seed=2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_adapters_are_float32_on_a_bfloat16_model():
    model = trained(dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in adapter_state(model).values()} == {torch.float32}
    assert plain_model(model).dtype == torch.bfloat16
    assert logits(model).isfinite().all()


def test_the_reference_is_the_model_without_its_adapter():
    model = trained()
    enable_segment_attention(model)
    (batch,) = pack(make_samples(), 4096)
    start = make_model()
    enable_segment_attention(start)
    wanted, _ = action_logprobs(start, batch)
    found = make_reference(model).logprobs(batch, 1.0)
    assert torch.equal(found, wanted)
    assert not found.requires_grad
    own, _ = action_logprobs(model, batch)
    assert (own - wanted).abs().max() > 1e-3
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == {
        name for name, weight in trained().named_parameters() if weight.requires_grad
    }


@pytest.mark.parametrize("make", [make_model, trained])
def test_checkpointed_gradients_are_the_plain_ones(make):
    gradients = []
    for is_checkpointed in (False, True):
        model = make()
        enable_segment_attention(model)
        if is_checkpointed:
            enable_gradient_checkpointing(model)
        for packed in pack(make_samples(), 128):
            action_logprobs(model, packed)[0].sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None})
    plain, checkpointed = gradients
    assert plain.keys() == checkpointed.keys()
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)


def test_an_adapter_survives_its_files(tmp_path):
    model = trained()
    again = apply_adapter(make_model(), write(tmp_path, model), base="elsewhere")
    assert torch.equal(logits(again), logits(model))
    assert all(torch.equal(tensor, adapter_state(again)[name]) for name, tensor in adapter_state(model).items())


def test_plain_peft_loads_the_files(tmp_path):
    from peft import PeftModel

    model = trained()
    again = PeftModel.from_pretrained(make_model(), write(tmp_path, model))
    assert torch.equal(logits(again), logits(model))


def test_merged_weights_say_the_same():
    model = trained()
    wanted = logits(model)
    merged = merge_adapter(model)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(logits(merged), wanted, rtol=0, atol=1e-5)


def test_weights_of_another_adapter_are_refused():
    model, state = trained(), adapter_state(trained())
    with pytest.raises(ValueError, match="another adapter"):
        load_adapter_state(model, dict(list(state.items())[1:]))
    with pytest.raises(ValueError, match="another adapter"):
        load_adapter_state(model, {name: tensor[:1] for name, tensor in state.items()})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"r": "x"}', "\x00"])
def test_a_damaged_configuration_is_refused(tmp_path, text):
    folder = write(tmp_path, trained())
    (folder / ADAPTER_CONFIG).write_text(text)
    with pytest.raises(CorruptError, match="damaged"):
        apply_adapter(make_model(), folder, base="b")


@pytest.mark.parametrize(
    "change",
    [{"peft_type": "IA3"}, {"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"r": 0}],
)
def test_another_kind_of_adapter_is_refused_instead_of_half_applied(tmp_path, change):
    folder = write(tmp_path, trained())
    content = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**content, **change}))
    with pytest.raises(UsageError, match="not plain LoRA"):
        read_adapter_config(folder)


@pytest.mark.parametrize("damage", ["cut", "emptied", "fewer", "other shape"])
def test_damaged_weights_are_refused(tmp_path, damage):
    folder = write(tmp_path, trained())
    path = folder / ADAPTER_WEIGHTS
    if damage in ("cut", "emptied"):
        path.write_bytes(path.read_bytes()[:-100] if damage == "cut" else b"")
    else:
        tensors = load_file(path)
        first = next(iter(tensors))
        tensors = (
            {n: t for n, t in tensors.items() if n != first}
            if damage == "fewer"
            else {name: tensor[:1].clone() for name, tensor in tensors.items()}
        )
        save_file(tensors, path)
    with pytest.raises(CorruptError, match="cannot load the adapter"):
        apply_adapter(make_model(), folder, base="b")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_a_pickled_adapter_is_not_read(tmp_path):
    folder, marker = write(tmp_path / "adapter", trained()), tmp_path / "ran"
    (folder / ADAPTER_WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(CorruptError, match="pickled ones are not read"):
        apply_adapter(make_model(), folder, base="b")
    assert not marker.exists()
