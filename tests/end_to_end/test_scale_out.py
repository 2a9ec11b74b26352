"""The command as it is started on larger machines: under torchrun, and with its sampler on another server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from agent.grpo.metrics import read_metrics
from inbox_env.errors import ExitCode
from scripts.cli import main
from scripts.doctor_run import examine_run, exit_code
from tests.agent.tiny import make_tokenizer, write_model_folder
from tests.agent.vllm_server import TinyVllm, serving

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[run]
name = "run"
out = "runs"
checkpoint_every = 2
[model]
path = "base"
threads = 1
[env]
max_turns = 2
hits_per_page = 3
[sampling]
max_new_tokens = 6
max_context = 384
max_rows = 16
[grpo]
steps = 3
questions_per_step = 2
group_size = 2
max_refills = 1
learning_rate = 0.01
[eval]
every = 2
num_questions = 2
num_test_questions = 3
""" + "".join(
    f"[data.synthetic.{split}]\nseeds = [1]\nnum_emails = 100\nnum_questions = 6\n"
    for split in ("train", "dev", "test")
)


@pytest.fixture
def site(tmp_path, monkeypatch):
    write_model_folder(tmp_path / "base", make_tokenizer())
    (tmp_path / "run.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    words += ["-m", "scripts.train_email_agent", "--config", "run.toml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (site / "runs" / "run" / "summary.json").is_file()
    num_threads = torch.get_num_threads()
    assert main(["train", "--config", "run.toml", "--set", "run.name=alone"]) == 0
    torch.set_num_threads(num_threads)
    two, one = (list(read_metrics(site / "runs" / name / "metrics.jsonl")) for name in ("run", "alone"))
    for mine, theirs in zip(two, one, strict=True):
        for name in ("reward_mean", "accuracy", "generated_tokens", "trained_tokens", "loss"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-5)
    assert examine_run(site / "runs" / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 4])
def test_a_whole_run_with_its_sampler_on_a_server_ends_healthy_and_goes_on(site, rank, capsys):
    model = AutoModelForCausalLM.from_pretrained(site / "base")
    tiny = TinyVllm(model, make_tokenizer())
    options = ["--set", f"model.lora_rank={rank}", "--set", "sampling.engine=vllm"]
    with serving(tiny) as url:
        options += ["--set", f'sampling.servers=["{url}"]']
        tiny.is_sick = True
        assert main(["train", "--config", "run.toml", *options]) == ExitCode.UPSTREAM
        assert "is vLLM running there?" in capsys.readouterr().err
        tiny.is_sick = False
        assert main(["train", "--config", "run.toml", *options, "--clean"]) == 0
        assert main(["train", "--config", "run.toml", *options, "--set", "grpo.steps=4", "--resume", "--force"]) == 0
    run = site / "runs" / "run"
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["mismatch_kl"] < 1e-4 for row in rows)
    assert exit_code(examine_run(run)) == 0
    assert json.loads((run / "summary.json").read_text())["policies"]
    assert not any((run / "sampler").glob("*.partial"))
