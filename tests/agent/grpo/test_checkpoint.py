from __future__ import annotations

import errno
import json
import logging
import os
import random
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint, verify_checkpoint
from agent.grpo.random_streams import dump_stream, restore_stream
from inbox_env.errors import CorruptError, ResourceError
from tests.agent.grpo.builders import VOCABULARY, make_model

FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "config.json", "manifest.json"]


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.01)


def muon(model):
    return torch.optim.Muon([p for p in model.parameters() if p.ndim == 2], lr=1e-2, weight_decay=0.1)


def train(model, optimizer, stream, num_steps):
    losses = []
    for _ in range(num_steps):
        ids = torch.tensor([[stream.randrange(VOCABULARY) for _ in range(12)]])
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run with whole checkpoints at steps 10 and 20."""
    run = tmp_path_factory.mktemp("run")
    model = make_model()
    optimizer = adamw(model)
    train(model, optimizer, random.Random(0), 2)
    for step in (10, 20):
        save_checkpoint(run, step, model, optimizer, {"note": step})
    return run


@pytest.fixture
def run(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("make_optimizer", [adamw, muon])
def test_a_resumed_run_continues_bit_for_bit(tmp_path, make_optimizer):
    model = make_model()
    optimizer, stream = make_optimizer(model), random.Random(7)
    train(model, optimizer, stream, 3)
    path = save_checkpoint(tmp_path, 3, model, optimizer, {"stream": dump_stream(stream), "order": [2, 0, 1]})
    losses = train(model, optimizer, stream, 4)

    resumed = make_model(seed=99)
    resumed_optimizer, resumed_stream = make_optimizer(resumed), random.Random()
    state = load_checkpoint(path, resumed, resumed_optimizer)
    restore_stream(resumed_stream, state["stream"])
    assert (state["step"], state["order"]) == (3, [2, 0, 1])
    assert train(resumed, resumed_optimizer, resumed_stream, 4) == losses
    for mine, theirs in zip(resumed.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    wanted = optimizer.state_dict()["state"]
    for parameter, values in resumed_optimizer.state_dict()["state"].items():
        for name, value in values.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(wanted[parameter][name]))


def test_a_checkpoint_is_a_model_that_transformers_loads(run):
    model = make_model(seed=5)
    path = latest_checkpoint(run)
    load_checkpoint(path, model)
    loaded = AutoModelForCausalLM.from_pretrained(path)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def test_nothing_in_a_checkpoint_is_pickled(run):
    for path in latest_checkpoint(run).iterdir():
        assert path.suffix in {".json", ".safetensors"}


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink], ids=["truncated", "flipped", "absent"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, name, damage, caplog):
    damage(run / "checkpoints" / "step-000020" / name)
    with caplog.at_level(logging.WARNING):
        assert latest_checkpoint(run).name == "step-000010"
    assert name in caplog.text or name == "manifest.json"  # a wrong hash there blames the file it is of
    assert "step-000020" in caplog.text
    with pytest.raises(CorruptError, match="checkpoint file") as caught:
        load_checkpoint(run / "checkpoints" / "step-000020", model := make_model(seed=3))
    assert caught.value.exit_code == 4
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), make_model(seed=3).parameters(), strict=True))


def test_every_bit_of_the_manifest_counts(run):
    path = run / "checkpoints" / "step-000020" / "manifest.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CorruptError):
            verify_checkpoint(path.parent)


def test_a_run_without_any_whole_checkpoint_is_corrupt_and_says_which(run):
    for path in (run / "checkpoints").iterdir():
        truncate(path / "model.safetensors")
    with pytest.raises(CorruptError, match=r"step-000020, step-000010"):
        latest_checkpoint(run)


def test_a_run_that_never_finished_a_checkpoint_has_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / "checkpoints" / "step-000010.partial").mkdir(parents=True)
    assert latest_checkpoint(tmp_path) is None


def test_the_newest_checkpoints_are_kept_in_order_of_steps(tmp_path):
    model = make_model()
    optimizer = adamw(model)
    for step in (8, 9, 10, 1_000_000):
        save_checkpoint(tmp_path, step, model, optimizer, {}, keep_last=2)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"step-000010", "step-1000000"}
    assert latest_checkpoint(tmp_path).name == "step-1000000"


def test_what_a_killed_run_left_is_cleaned_up_and_a_damaged_step_is_replaced(run):
    (run / "checkpoints" / "step-000030.partial").mkdir()
    truncate(run / "checkpoints" / "step-000020" / "state.json")
    model = make_model()
    save_checkpoint(run, 20, model, adamw(model), {"note": "again"})
    assert load_checkpoint(latest_checkpoint(run), model)["note"] == "again"
    assert not list((run / "checkpoints").glob("*.partial"))


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_leaves_the_older_checkpoints_and_no_rubbish(run, name, monkeypatch):
    fsync, partial = os.fsync, run / "checkpoints" / "step-000030.partial"

    def full(descriptor):
        if os.path.samestat(os.fstat(descriptor), (partial / name).stat()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    model = make_model()
    with pytest.raises(ResourceError, match="No space left") as caught:
        save_checkpoint(run, 30, model, adamw(model), {}, keep_last=1)
    assert caught.value.exit_code == 5
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"step-000010", "step-000020"}
    assert latest_checkpoint(run).name == "step-000020"


@contextmanager
def file_size_limit(num_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_inside_the_tensor_writer_is_one_clear_error(run):
    model = make_model()
    with pytest.raises(ResourceError, match="checkpoint not written"), file_size_limit(1000):
        save_checkpoint(run, 30, model, adamw(model), {}, keep_last=1)
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"step-000010", "step-000020"}


def test_a_checkpoint_of_another_model_is_refused(run):
    model = torch.nn.Linear(3, 3)
    with pytest.raises(CorruptError, match="another model"):
        load_checkpoint(latest_checkpoint(run), model)


@pytest.mark.parametrize(
    ("make_stream", "draw"),
    [
        (random.Random, lambda stream: stream.gauss(0, 1)),
        (np.random.default_rng, lambda stream: stream.standard_normal()),
        (lambda seed: torch.Generator().manual_seed(seed), lambda stream: torch.rand(3, generator=stream).tolist()),
    ],
    ids=["python", "numpy", "torch"],
)
def test_a_random_stream_goes_on_where_it_was_dumped(make_stream, draw):
    stream = make_stream(1)
    draw(stream)
    content = json.loads(json.dumps(dump_stream(stream)))
    wanted = [draw(stream) for _ in range(5)]
    other = make_stream(2)
    restore_stream(other, content)
    assert [draw(other) for _ in range(5)] == wanted
