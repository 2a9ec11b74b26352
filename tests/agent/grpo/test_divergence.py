"""What a diverged run leaves: the last checkpoint that can be trusted, and the newest refused updates."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors import safe_open

from agent.grpo.checkpoint import save_checkpoint
from agent.grpo.divergence import KEPT, dump_batch, is_finite, mark_best_finite
from tests.agent.grpo.builders import make_model


def save(run, step, value=0.0):
    model = make_model()
    with torch.no_grad():
        model.model.norm.weight[3] = value
    return save_checkpoint(run, step, model, torch.optim.SGD(model.parameters(), lr=0.1), {}, keep_last=9)


def marked(run):
    return json.loads((run / "best_finite.json").read_text())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_newest_whole_checkpoint_of_finite_weights_is_named(tmp_path, value):
    for step in (9, 10):
        save(tmp_path, step)
    save(tmp_path, 11, value)
    (save(tmp_path, 12) / "model.safetensors").write_bytes(b"cut")
    (tmp_path / "checkpoints" / "step-000013.partial").mkdir()
    assert mark_best_finite(tmp_path).name == "step-000010"
    assert marked(tmp_path) == {"step": 10, "checkpoint": "checkpoints/step-000010"}


def test_steps_are_ordered_as_numbers(tmp_path):
    for step in (999_999, 1_000_000):
        save(tmp_path, step)
    mark_best_finite(tmp_path)
    assert marked(tmp_path)["step"] == 1_000_000


def test_a_run_without_a_good_checkpoint_names_none(tmp_path):
    assert mark_best_finite(tmp_path) is None
    save(tmp_path, 1, math.nan)
    assert mark_best_finite(tmp_path) is None
    assert not (tmp_path / "best_finite.json").exists()


def test_one_bad_weight_is_enough(tmp_path):
    model = make_model()
    assert is_finite(model)
    with torch.no_grad():
        model.lm_head.weight[5, 5] = math.nan
    assert not is_finite(model)


def test_the_newest_refused_updates_are_kept_with_their_reason(tmp_path):
    for step in range(1, KEPT + 4):
        path = dump_batch(tmp_path, step, {"logprobs": torch.arange(3.0)[::2]}, "with a reason")
    assert {int(file.stem[-6:]) for file in path.parent.iterdir()} == set(range(4, KEPT + 4))
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"step": str(KEPT + 3), "reason": "with a reason"}
        assert file.get_tensor("logprobs").tolist() == [0.0, 2.0]


def test_a_disk_that_refuses_hides_nothing(tmp_path):
    (tmp_path / "refused").write_text("in the way")
    assert dump_batch(tmp_path, 1, {"logprobs": torch.zeros(3)}, "with a reason") is None
    save(tmp_path, 4)
    (tmp_path / "best_finite.json").mkdir()
    assert mark_best_finite(tmp_path).name == "step-000004"
