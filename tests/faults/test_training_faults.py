"""What must happen when training meets a bad file, a full disk or a signal: one line, the documented exit code,
and nothing lost that was there."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal

import pytest
import torch

from agent.grpo.loss import LossStatistics
from agent.grpo.metrics import read_metrics
from agent.grpo.update import Update
from inbox_env.errors import ExitCode
from inbox_env.questions import write_questions
from inbox_env.synthetic import generate_inbox
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from rewards.base import Reward
from scripts.cli import main
from tests.agent.tiny import make_tokenizer, write_model_folder

CONFIG = """
[run]
name = "run"
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
steps = 4
questions_per_step = 2
group_size = 2
max_refills = 0
learning_rate = 0.01
[eval]
every = 0
num_test_questions = 3
"""
SYNTHETIC = "".join(
    f"[data.synthetic.{split}]\nseeds = [1]\nnum_emails = 100\nnum_questions = 6\n"
    for split in ("train", "dev", "test")
)
MAILBOX = '[data.mailbox]\npath = "m.db"\ntrain = "train.jsonl"\ndev = "dev.jsonl"\ntest = "test.jsonl"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A working folder with a base model, a mailbox and configurations; what can be made again is kept in it."""
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    (folder / "run.toml").write_text(CONFIG + SYNTHETIC)
    (folder / "mail.toml").write_text(CONFIG + MAILBOX)
    mailbox, _ = ensure_mailbox(SyntheticRecipe("train", (1, 2, 3), num_emails=100, num_questions=6), folder)
    mailbox.rename(folder / "m.db")
    for number, split in enumerate(("train", "dev", "test"), 1):
        write_questions(
            folder / f"{split}.jsonl", generate_inbox("train", number, num_emails=100, num_questions=6).questions
        )
    return folder


@pytest.fixture
def train(site, tmp_path, monkeypatch, capsys):
    """Run `mailsleuth train` in the site with its runs in `tmp_path`; returns the exit code and stderr."""
    monkeypatch.chdir(site)
    monkeypatch.setattr("agent.make_grader.make_ladder", lambda config: by_letters)
    num_threads = torch.get_num_threads()

    def run(*options, config="run.toml"):
        code = main(["train", "--config", config, "--set", f"run.out={tmp_path}", *options])
        return code, capsys.readouterr().err

    yield run
    torch.set_num_threads(num_threads)


def by_letters(trajectory, question):
    """A reward that differs between any two rollouts, so that every step changes the weights."""
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def assert_refused(outcome, code, *words):
    found, err = outcome
    assert found == code, err
    assert err.startswith("error[E-")
    assert err.count("\n") == 1
    assert "E-BUG" not in err
    for word in words:
        assert word in err


def num_rows(run):
    return [row["step"] for row in read_metrics(run / "metrics.jsonl")]


def test_a_run_leaves_all_its_results(train, tmp_path):
    code, err = train()
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    names = {path.name for path in run.iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "trajectories",
        "evaluation",
        "model",
        "samples.jsonl",
    } <= names
    assert {"summary.json", "report.md", "report.html"} <= names
    assert num_rows(run) == [1, 2, 3, 4]
    assert_refused(train(), ExitCode.USAGE, "not empty", "--resume or --clean")
    before = (run / "summary.json").read_bytes()
    assert train("--resume")[0] == 0
    assert json.loads(before)["policies"] == json.loads((run / "summary.json").read_bytes())["policies"]


def test_an_unknown_key_is_named_with_the_nearest_one(train):
    assert_refused(train("--set", "grpo.learning_rat=1"), ExitCode.USAGE, "grpo.learning_rat", "grpo.learning_rate?")
    assert_refused(train("--set", "grpo.steps=many"), ExitCode.USAGE, "grpo.steps")
    assert_refused(train(config="absent.toml"), ExitCode.USAGE, "absent.toml")


def test_a_model_that_is_not_there_is_named_and_can_be_put_right(train):
    assert_refused(train("--set", "model.path=bsae"), ExitCode.USAGE, "bsae")
    assert_refused(train("--set", "model.path=bsae"), ExitCode.USAGE, "bsae")
    assert train("--set", "grpo.steps=0", "--set", "eval.num_test_questions=1")[0] == 0


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "agent.json"])
def test_a_damaged_base_model_is_refused(train, site, tmp_path, name):
    shutil.copytree(site / "base", tmp_path / "damaged")
    path = tmp_path / "damaged" / name
    path.write_bytes(path.read_bytes()[:-200] if name.endswith("safetensors") else b"{")
    assert_refused(train("--set", f"model.path={tmp_path / 'damaged'}"), ExitCode.CORRUPT, "damaged")
    assert path.exists()


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize(("content", "word"), [("", "holds no questions"), ("{\n", "not JSON"), (None, "no such")])
def test_questions_that_are_missing_or_damaged_are_refused(train, site, tmp_path, split, content, word):
    path = tmp_path / "q.jsonl"
    if content is not None:
        path.write_text(content)
    assert_refused(train("--set", f"data.mailbox.{split}={path}", config="mail.toml"), ExitCode.USAGE, word, "q.jsonl")


def test_questions_of_other_mail_are_refused(train, site, tmp_path):
    write_questions(tmp_path / "q.jsonl", generate_inbox("test", 5, num_emails=100, num_questions=2).questions)
    outcome = train("--set", f"data.mailbox.test={tmp_path / 'q.jsonl'}", config="mail.toml")
    assert_refused(outcome, ExitCode.USAGE, "test-005")
    assert_refused(train("--set", "data.mailbox.test=train.jsonl", config="mail.toml"), ExitCode.USAGE, "train-001")


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00 and then nothing", b"From: me\n"])
def test_a_file_that_is_no_mailbox_is_refused(train, tmp_path, content):
    (tmp_path / "x.db").write_bytes(content)
    code, err = train("--set", f"data.mailbox.path={tmp_path / 'x.db'}", config="mail.toml")
    assert_refused((code, err), code, "x.db")
    assert code in (ExitCode.USAGE, ExitCode.CORRUPT)
    assert (tmp_path / "x.db").read_bytes() == content


def test_a_full_disk_while_checkpointing_loses_nothing_and_the_run_goes_on(train, tmp_path, monkeypatch):
    from agent.grpo.checkpoint import save_checkpoint

    def save_on_a_full_disk(run, step, *rest, **options):
        if step < 4:
            return save_checkpoint(run, step, *rest, **options)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            return save_checkpoint(run, step, *rest, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    run = tmp_path / "run"
    monkeypatch.setattr("agent.grpo.trainer.save_checkpoint", save_on_a_full_disk)
    outcome = train("--set", "model.path=base")
    assert_refused(outcome, ExitCode.RESOURCE, "checkpoint not written", "step-000004")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-000002"]
    assert num_rows(run) == [1, 2, 3, 4]
    monkeypatch.setattr("agent.grpo.trainer.save_checkpoint", save_checkpoint)
    assert_refused(train(), ExitCode.USAGE, "--resume")
    assert train("--resume")[0] == 0
    assert num_rows(run) == [1, 2, 3, 4]
    assert (run / "summary.json").is_file()


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_a_signal_ends_a_run_in_order_and_the_rest_can_be_done_later(train, tmp_path, monkeypatch, signum, code):
    from agent.grpo.metrics import MetricsWriter

    write = MetricsWriter.write

    def write_and_signal(self, row):
        write(self, row)
        if row["step"] == 3:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(MetricsWriter, "write", write_and_signal)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started with it ignored
    try:
        found, err = train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == code
    assert err.count("\n") <= 1
    monkeypatch.setattr(MetricsWriter, "write", write)
    assert train("--resume")[0] == 0
    assert num_rows(tmp_path / "run") == [1, 2, 3, 4]


def test_a_run_that_diverges_says_so_and_keeps_its_last_checkpoint(train, tmp_path, monkeypatch):
    lost = Update(float("nan"), float("nan"), 1, LossStatistics(), is_finite=False)
    monkeypatch.setattr("agent.grpo.trainer.update", lambda *_, **__: lost)
    assert_refused(train("--set", "grpo.steps=9"), ExitCode.DIVERGED, "finite", "learning_rate")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000002"]


def test_a_run_that_is_given_more_time_is_evaluated_anew(train, tmp_path):
    played = tmp_path / "run" / "evaluation" / "trained.jsonl"
    assert train("--set", "grpo.max_seconds=0.001")[0] == 0
    assert num_rows(tmp_path / "run") == [1]
    before = played.stat().st_mtime_ns
    assert train("--set", "grpo.max_seconds=99.0", "--resume")[0] == 0
    assert num_rows(tmp_path / "run") == [1, 2, 3, 4]
    after = played.stat().st_mtime_ns
    assert after > before
    assert train("--set", "grpo.max_seconds=99.0", "--resume")[0] == 0
    assert played.stat().st_mtime_ns == after


def test_a_warm_start_that_was_cut_is_made_again(train, tmp_path, monkeypatch):
    from agent import model_folder

    save = model_folder.save_model

    def save_half(folder, loaded):
        save(folder, loaded)
        (folder / "model.safetensors").write_bytes(b"")
        raise KeyboardInterrupt

    options = ("--set", "warm_start.steps=1", "--set", "grpo.steps=1")
    monkeypatch.setattr(model_folder, "save_model", save_half)
    assert train(*options)[0] == ExitCode.INTERRUPTED
    monkeypatch.setattr(model_folder, "save_model", save)
    assert train(*options, "--resume")[0] == 0


def test_a_changed_configuration_is_refused_and_the_run_stays(train, tmp_path):
    assert train("--set", "grpo.steps=2")[0] == 0
    before = sorted((tmp_path / "run").rglob("*"))
    outcome = train("--set", "grpo.steps=2", "--set", "grpo.learning_rate=0.5", "--resume")
    assert_refused(outcome, ExitCode.USAGE, "grpo.learning_rate")
    assert sorted((tmp_path / "run").rglob("*")) == before


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(train, tmp_path):
    assert train("--set", "grpo.steps=2")[0] == 0
    for path in (tmp_path / "run" / "checkpoints").rglob("model.safetensors"):
        path.write_bytes(b"")
    assert_refused(train("--set", "grpo.steps=2", "--resume"), ExitCode.CORRUPT, "every checkpoint is damaged")


def test_two_processes_cannot_write_one_run(train, tmp_path):
    import fcntl

    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(train(), ExitCode.RESOURCE, "another process")


def test_a_full_disk_while_the_model_is_saved_keeps_the_training(train, tmp_path, monkeypatch):
    from agent import model_folder

    save = model_folder.save_model

    def save_on_a_full_disk(*arguments):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            save(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(model_folder, "save_model", save_on_a_full_disk)
    assert_refused(train(), ExitCode.RESOURCE, "model not written")
    monkeypatch.setattr(model_folder, "save_model", save)
    code, err = train("--resume")
    assert (code, err) == (0, "")
    assert num_rows(tmp_path / "run") == [1, 2, 3, 4]
