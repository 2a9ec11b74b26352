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
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agent.grpo.checkpoint import latest_checkpoint
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
max_new_tokens = 40
max_context = 384
max_rows = 32
[grpo]
steps = 3
questions_per_step = 2
group_size = 16
max_refills = 1
learning_rate = 0.01
overlong_tokens = 380
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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def torchrun(*options, num_nodes=1, num_each=2):
    """Train as on `num_nodes` machines: one agent each, which meet as the examples for clusters have them meet."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(num_nodes), "--nproc-per-node"]
    words += [str(num_each), "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "1"]
    words += ["--local-addr", "127.0.0.1", "-m", "scripts.train_email_agent", "--config", "run.toml", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    agents = [
        subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(num_nodes)
    ]
    try:
        said = [agent.communicate(timeout=500)[0] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    for agent, output in zip(agents, said, strict=True):
        assert agent.returncode == 0, output[-3000:]


def assert_learnt(run):
    """Without groups that differ nothing is trained, and every comparison of runs holds."""
    assert all(row["grad_norm"] > 0 and not row["is_skipped"] for row in read_metrics(run / "metrics.jsonl"))


def assert_near(mine, theirs):
    assert_learnt(mine)
    for one, other in zip(read_metrics(mine / "metrics.jsonl"), read_metrics(theirs / "metrics.jsonl"), strict=True):
        for name in ("reward_mean", "accuracy", "generated_tokens", "trained_tokens", "loss", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-5), name


@pytest.fixture
def alone(site):
    num_threads = torch.get_num_threads()
    assert main(["train", "--config", "run.toml", "--set", "run.name=alone"]) == 0
    torch.set_num_threads(num_threads)
    return site / "runs" / "alone"


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(site, alone):
    torchrun()
    run = site / "runs" / "run"
    assert (run / "summary.json").is_file()
    assert_near(run, alone)
    assert examine_run(run) == []


@pytest.mark.slow
def test_two_machines_train_shards_as_one_process_does_and_what_they_made_is_exported(site, alone):
    torchrun("--set", "grpo.strategy=shard", num_nodes=2, num_each=1)
    run = site / "runs" / "run"
    assert_near(run, alone)
    assert main(["export", str(run), "--out", str(site / "exported")]) == 0
    exported, trained = (load_file(path / "model.safetensors") for path in (site / "exported", latest_checkpoint(run)))
    assert len(trained.keys() - exported.keys()) <= 1, "tied weights are there once, under either name"
    assert all(torch.equal(exported[name], weight) for name, weight in trained.items() if name in exported)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 4])
def test_servers_sample_from_the_weights_that_shards_have_trained(site, rank):
    tiny = TinyVllm(AutoModelForCausalLM.from_pretrained(site / "base"), make_tokenizer())
    with serving(tiny) as url:
        options = [f"model.lora_rank={rank}", "sampling.engine=vllm", f'sampling.servers=["{url}"]']
        torchrun(*(word for option in ("grpo.strategy=shard", *options) for word in ("--set", option)))
    run = site / "runs" / "run"
    assert_learnt(run)
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(row["mismatch_kl"] < 1e-4 for row in rows)


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
    assert_learnt(run)
    assert all(row["mismatch_kl"] < 1e-4 for row in rows)
    assert exit_code(examine_run(run)) == 0
    assert json.loads((run / "summary.json").read_text())["policies"]
    assert not any((run / "sampler").glob("*.partial"))
