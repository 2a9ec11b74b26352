"""`mailsleuth pretrain` writes a model that loads as any other, and an interrupted run ends as an undisturbed one."""

from __future__ import annotations

import shutil

import pytest

from agent.grpo.metrics import read_metrics
from agent.model_folder import load_model
from scripts.cli import main

SMALL = ["--hidden", "32", "--layers", "2", "--vocab", "1024", "--inboxes", "1", "--questions", "60"]


def pretrain(folder):
    options = ["--steps", "4", "--checkpoint-every", "2", "--run", f"{folder}/run", "--out", f"{folder}/model"]
    assert main(["pretrain", *SMALL, *options]) == 0
    return (folder / "model" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_pretraining_in_two_processes_resumes_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undisturbed = pretrain(tmp_path)
    curve = [row["step"] for row in read_metrics(tmp_path / "run" / "curve.jsonl")]
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-000004")
    assert pretrain(tmp_path) == undisturbed
    assert [row["step"] for row in read_metrics(tmp_path / "run" / "curve.jsonl")] == curve == [1, 2, 3, 4]
    assert load_model(tmp_path / "model").model.config.num_hidden_layers == 2
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "--steps 4 --seed 1 --inboxes 1 --questions 60" in card
    assert "| 4 | 0.0" in card
