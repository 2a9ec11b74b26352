"""`mailsleuth train` with adapters, limits and devices: what cannot work is one line, what changed is refused."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
import torch
from rich.console import Console

from agent.grpo.config import load_config
from agent.grpo.distributed import Peers
from agent.lora import is_adapted
from agent.model_folder import load_model
from inbox_env.errors import ExitCode
from scripts.cli import main
from scripts.train_email_agent import _check_model
from tests.agent.tiny import make_tokenizer, write_model_folder
from tests.faults.killed_run import by_letters
from tests.faults.test_training_faults import CONFIG, SYNTHETIC, assert_refused, num_rows

CHECKPOINTED = ("--set", "model.gradient_checkpointing=true")
LORA = ("--set", "model.lora_rank=4")
SHORT = ("--set", "grpo.steps=2", "--set", "eval.num_test_questions=1")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    (folder / "run.toml").write_text(CONFIG + SYNTHETIC)
    return folder


@pytest.fixture
def train(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(site)
    monkeypatch.setattr("agent.make_grader.make_ladder", lambda config: by_letters)
    num_threads = torch.get_num_threads()

    def run(*options):
        code = main(["train", "--config", "run.toml", "--set", f"run.out={tmp_path}", *options])
        captured = capsys.readouterr()
        run.out = captured.out
        return code, captured.err

    yield run
    torch.set_num_threads(num_threads)


def changes(run):
    return [json.loads(line)["changed"] for line in (run / "changes.jsonl").open()]


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize("warm_steps", [0, 1])
def test_a_run_with_an_adapter_leaves_a_model_that_can_be_used(train, tmp_path, warm_steps):
    code, err = train(*LORA, *SHORT, *CHECKPOINTED, "--set", f"warm_start.steps={warm_steps}", "--control")
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    names = {path.name for path in (run / "model").iterdir()}
    assert names >= {"adapter_model.safetensors", "adapter_config.json", "agent.json", "tokenizer.json", "README.md"}
    assert "model.safetensors" not in names
    assert is_adapted(load_model(run).model)
    assert "rank 4" in (run / "model" / "README.md").read_text()
    assert main(["export", str(run), "--out", str(tmp_path / "out"), "--merged", "--dry-run"]) == 0
    assert not is_adapted(load_model(tmp_path / "out").model)
    before = (run / "summary.json").read_bytes()
    assert train(*LORA, *SHORT, *CHECKPOINTED, "--set", f"warm_start.steps={warm_steps}", "--resume")[0] == 0
    assert json.loads(before)["policies"][:3] == json.loads((run / "summary.json").read_bytes())["policies"][:3]


def test_the_estimate_is_printed_and_a_limit_below_it_refuses(train, tmp_path):
    outcome = train(*SHORT, "--max-memory", "0.1")
    assert_refused(outcome, ExitCode.RESOURCE, "more than the 0.1 allowed")
    assert "memory: about" in train.out
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert train(*SHORT, "--max-memory", "64")[0] == 0
    assert train(*SHORT, "--max-memory", "32", "--resume")[0] == 0


def test_a_run_that_may_not_fit_says_so_before_it_starts(train, monkeypatch):
    monkeypatch.setattr("agent.devices.free_memory_gb", lambda device: 0.2)
    assert train(*SHORT)[0] == 0
    assert "only 0.2 GiB are free" in train.out


@pytest.mark.parametrize(("device", "num_counted"), [("cpu", 4), ("cuda:0", 1)])
def test_processes_of_one_machine_are_weighed_together_on_cpus_and_card_by_card(site, monkeypatch, device, num_counted):
    """Eight processes on two machines: what four need is held against the limit, or what one needs on its card."""
    asked = []
    monkeypatch.chdir(site)
    monkeypatch.setattr("agent.devices.resolve_device", lambda _: device)
    monkeypatch.setattr("agent.devices.free_memory_gb", lambda _: 0.0)
    monkeypatch.setattr("agent.grpo.memory_plan.check_memory", lambda plan, limit, count=1: asked.append(count))
    console = Console(file=StringIO(), width=200)
    _check_model(load_config(site / "run.toml"), Peers(0, 8, num_here=4), console)
    assert asked == [num_counted]
    assert ("in each of 4 processes" in console.file.getvalue()) == (num_counted == 4)


@pytest.mark.parametrize(
    ("key", "value"), [("grpo.learning_rate", "0.5"), ("run.seed", "8"), ("model.lora_rank", "2"), ("loss.kl", "0.1")]
)
def test_f52_a_changed_configuration_is_refused_with_the_difference_or_recorded(train, tmp_path, key, value):
    assert train(*SHORT)[0] == 0
    change = ("--set", f"{key}={value}")
    before = (tmp_path / "run" / "config.json").read_bytes()
    outcome = train(*SHORT, *change, "--resume")
    assert_refused(outcome, ExitCode.USAGE, key, f"-> {value}", "--force")
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    if key != "model.lora_rank":  # full weights are no adapter's, by force or not
        assert train(*SHORT, *change, "--resume", "--force")[0] == 0
        assert [list(changed) for changed in changes(tmp_path / "run")] == [[key]]
        assert train(*SHORT, *change, "--resume")[0] == 0


def test_f52_a_changed_model_is_refused_or_recorded(train, site, tmp_path):
    base = write_model_folder(tmp_path / "own", make_tokenizer())
    own = ("--set", f"model.path={base}")
    assert train(*SHORT, *own)[0] == 0
    write_model_folder(base, make_tokenizer(), seed=1)
    assert_refused(train(*SHORT, *own, "--resume"), ExitCode.USAGE, "model (", "--force")
    assert train(*SHORT, *own, "--resume", "--force")[0] == 0
    assert [list(changed) for changed in changes(tmp_path / "run")] == [["model"]]
    assert train(*SHORT, *own, "--resume")[0] == 0


def test_f52_changed_questions_are_refused_or_recorded(train, site, tmp_path, monkeypatch):
    assert train(*SHORT)[0] == 0
    from agent import run_identity

    monkeypatch.setattr(run_identity, "_data_sha256", lambda *_: "other")
    assert_refused(train(*SHORT, "--resume"), ExitCode.USAGE, "data (", "-> other")
    assert train(*SHORT, "--resume", "--force")[0] == 0


def test_f52_a_damaged_identity_is_named(train, tmp_path):
    assert train(*SHORT)[0] == 0
    (tmp_path / "run" / "identity.json").write_text("{")
    assert_refused(train(*SHORT, "--resume"), ExitCode.CORRUPT, "identity")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_f57_a_device_that_is_not_there_is_refused_and_auto_falls_back_with_one_line(train, tmp_path, caplog):
    assert_refused(train(*SHORT, "--set", "model.device=cuda"), ExitCode.RESOURCE, "cuda is not there")
    assert_refused(train(*SHORT, "--set", "model.device=gpu"), ExitCode.USAGE, "no such device: gpu")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    with caplog.at_level(logging.WARNING):
        assert train(*SHORT, "--set", "model.device=auto")[0] == 0
    assert {record.getMessage() for record in caplog.records} == {"no CUDA device: using the CPU"}
    assert num_rows(tmp_path / "run") == [1, 2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("option", ["model.load_in_4bit=true", "model.loader=unsloth"])
def test_f57_what_only_a_gpu_can_do_is_refused_without_one(train, option):
    assert_refused(train(*LORA, "--set", option), ExitCode.USAGE, "needs a CUDA device")


def test_f56_a_base_model_of_pickles_is_refused_unread(train, site, tmp_path):
    marker, folder = tmp_path / "ran", tmp_path / "evil"
    write_model_folder(folder, make_tokenizer())
    (folder / "model.safetensors").unlink()

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for name in ("pytorch_model.bin", "model.pt", "adapter_model.bin"):
        torch.save({"x": Payload()}, folder / name)
    assert_refused(train("--set", f"model.path={folder}"), ExitCode.CORRUPT, "evil")
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"],'
        f' "base_model_name_or_path": "{site / "base"}"}}'
    )
    assert_refused(train("--set", f"model.path={folder}"), ExitCode.CORRUPT, "pickled ones are not read")
    assert not marker.exists()


def test_recorded_episodes_that_are_none_are_refused_before_anything_is_made(train, tmp_path, site):
    (site / "questions.jsonl").write_text('{"id": "q", "question": "?"}\n')
    for name, message in (("none.jsonl", "cannot read"), ("questions.jsonl", "no recorded episode in this file")):
        options = (f'warm_start.files=["{name}"]', "warm_start.source=file", "warm_start.steps=1")
        outcome = train(*(word for option in options for word in ("--set", option)))
        assert_refused(outcome, ExitCode.USAGE, message)
        assert not (tmp_path / "run").exists()
