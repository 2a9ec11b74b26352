"""A tracker that fails, hangs, has no key, no server or no disk: training neither stops nor waits, and says so once."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest

from agent.grpo.metrics import read_metrics
from agent.scrub import scrub, scrubbed
from agent.tracking import Board, Tracker, open_tracker
from inbox_env.errors import ExitCode
from scripts.cli import main
from tests.agent.tiny import make_config, make_tokenizer, write_model_folder
from tests.faults.test_training_faults import CONFIG, SYNTHETIC

ROWS = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
KEY = "4f0f7c3e9d1b2a8866e5d4c3b2a190877f6e5d4c"
NO_SPACE = OSError(errno.ENOSPC, "No space left on device", "wandb")


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.WARNING, "agent.tracking")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "agent.tracking"]


@pytest.fixture
def hang():
    """What never returns, until the test is over."""
    release = threading.Event()
    yield lambda *_, **__: release.wait(30) and None
    release.set()


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


def fake_wandb(monkeypatch, *, init=None, log=None, finish=None):
    module, kept = ModuleType("wandb"), []
    run = SimpleNamespace(log=log or (lambda row, step: kept.append(step)), finish=finish or (lambda: None))
    module.Settings, module.login = (lambda **options: options), (lambda **_: True)
    module.init = init or (lambda **_: run)
    module.__spec__ = SimpleNamespace(name="wandb")
    monkeypatch.setitem(sys.modules, "wandb", module)
    return kept


def test_f59_a_tracker_that_fails_is_named_once_and_what_it_lost_is_counted(told):
    sent = []

    def send(row):
        sent.append(row)
        if len(sent) == 2:
            raise ConnectionError("no route")

    tracker = Tracker("board", lambda: Board(send, lambda: None))
    for row in ROWS * 2:
        tracker.log(row)
    tracker.close()
    assert sent == ROWS
    assert told() == [
        "board stopped taking metrics (ConnectionError: no route); metrics.jsonl has them all",
        "board did not get 3 of 4 rows; metrics.jsonl has them all",
    ]


def test_f59_a_tracker_that_cannot_start_is_told_of_once_and_the_body_runs(told):
    def refuse():
        raise RuntimeError(f"api key {KEY} was refused\nTraceback: secret")

    tracker = Tracker("board", refuse)
    for row in ROWS:
        tracker.log(row)
    tracker.close()
    assert told()[0] == "board did not start (RuntimeError: api key … was refused); metrics.jsonl has them all"
    assert told()[1:] == ["board did not get 2 of 2 rows; metrics.jsonl has them all"]


@pytest.mark.parametrize("where", ["start", "send", "close"])
def test_f59_a_tracker_that_hangs_holds_nothing_up(told, hang, where):
    board = Board(hang if where == "send" else lambda _: None, hang if where == "close" else lambda: None)
    started = time.monotonic()
    tracker = Tracker("board", hang if where == "start" else lambda: board)
    for row in ROWS:
        tracker.log(row)
    tracker.close(0.1)
    assert time.monotonic() - started < 2
    num_lost = 0 if where == "close" else 2
    text = f"board was not finished within 0.1 s, did not get {num_lost} of 2 rows; metrics.jsonl has them all"
    assert told() == [text]


def test_f59_rows_beyond_the_queue_are_dropped_and_counted(told):
    may_go, sent = threading.Event(), []

    def send(row):
        may_go.wait(10)
        sent.append(row["step"])

    tracker = Tracker("board", lambda: Board(send, lambda: None), max_waiting=3)
    for step in range(20):
        tracker.log({"step": step})
    may_go.set()
    tracker.close()
    assert sent == list(range(len(sent)))
    assert 3 <= len(sent) <= 4
    assert told() == [
        "board is 3 rows behind: rows are dropped from here on",
        f"board did not get {20 - len(sent)} of 20 rows; metrics.jsonl has them all",
    ]


def test_f59_a_full_disk_costs_the_tracker_not_the_run(told, tmp_path, monkeypatch):
    fake_wandb(monkeypatch, log=failing(NO_SPACE), finish=failing(NO_SPACE))
    config = make_config(tmp_path).model_copy(update={"track": "wandb"})
    with open_tracker(config, tmp_path) as tracker:
        tracker.log(ROWS[0])
    assert len(told()) == 2
    assert "stopped taking metrics (OSError: [Errno 28] No space left on device" in told()[0]


def test_f59_what_cannot_be_closed_does_not_hide_how_training_ended(told, tmp_path, monkeypatch):
    fake_wandb(monkeypatch, finish=failing(TimeoutError("still uploading")))
    config = make_config(tmp_path).model_copy(update={"track": "wandb"})
    with pytest.raises(KeyError, match="ours"), open_tracker(config, tmp_path):
        raise KeyError("ours")
    assert told() == ["wandb was not closed (TimeoutError: still uploading); metrics.jsonl has them all"]


@pytest.mark.parametrize(
    "text",
    [
        f"401 for url https://me:hunter2hunter2@example.org/graphql?key={KEY}",
        f"invalid token: '{KEY}'",
        "Authorization: Bearer sk-proj-abcDEF1234567890",
        "password=hunter2hunter2 refused",
        f"bad {KEY[:20]}",
        "the server did not like swordfish-9",
    ],
)
def test_f59_no_secret_is_printed(text):
    shown = scrub(text, {"WANDB_API_KEY": "swordfish-9", "HOME": "someone", "SHORT_KEY": "the"})
    for secret in (KEY, KEY[:20], "hunter2", "sk-proj", "swordfish", "1234567890"):
        assert secret not in shown
    assert "…" in shown


def test_f59_what_is_no_secret_stays_readable():
    assert scrubbed(ValueError("No API key configured. Use `wandb login`.\nmore"), {}) == (
        "ValueError: No API key configured. Use `wandb login`."
    )
    assert scrubbed(ValueError(), {}) == "ValueError"
    assert len(scrubbed(ValueError("long " * 100), {})) < 150


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    (folder / "run.toml").write_text('track = "wandb"\n' + CONFIG + SYNTHETIC)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["start", "send", "hang"])
def test_f59_a_whole_run_ends_well_whatever_its_tracker_does(site, tmp_path, monkeypatch, hang, fault, capsys):
    error = RuntimeError(f"refused {KEY}")
    init = {"start": failing(error), "hang": hang}.get(fault)
    fake_wandb(monkeypatch, init=init, log=failing(error))
    monkeypatch.chdir(site)
    monkeypatch.setattr("agent.tracking.CLOSE_SECONDS", 0.2)
    code = main(["train", "--config", "run.toml", "--set", f"run.out={tmp_path}"])
    captured = capsys.readouterr()
    assert code == ExitCode.OK, captured.err
    assert [row["step"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert (tmp_path / "run" / "report.html").is_file()
    assert KEY not in captured.out + captured.err


def test_f59_tensorboard_gets_every_row_under_its_step(told, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = make_config(tmp_path).model_copy(update={"track": "tensorboard"})
    with open_tracker(config, tmp_path) as tracker:
        for row in ROWS:
            tracker.log(row)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert told() == []


def test_f59_tensorboard_without_a_folder_to_write_is_left_alone(told, tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("in the way")
    config = make_config(tmp_path).model_copy(update={"track": "tensorboard"})
    with open_tracker(config, tmp_path) as tracker:
        for row in ROWS:
            tracker.log(row)
    assert told()[0].startswith("tensorboard did not start (")
    assert told()[1:] == ["tensorboard did not get 2 of 2 rows; metrics.jsonl has them all"]


WANDB_RUN = """
import logging, sys
from pathlib import Path
from agent.tracking import open_tracker
from tests.agent.tiny import make_config

logging.basicConfig(format="TOLD %(message)s")
folder = Path(sys.argv[1])
with open_tracker(make_config(folder).model_copy(update={"track": "wandb"}), folder) as tracker:
    for step in (1, 2):
        tracker.log({"step": step, "loss": 0.5})
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "no key", "folder"])
def test_f59_the_real_wandb_without_a_key_or_a_folder(tmp_path, fault):
    """In a process of its own: the package keeps a service and what it knows of keys for as long as one lives."""
    pytest.importorskip("wandb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_SILENT": "true"}
    if fault != "no key":
        environment["WANDB_MODE"] = "offline"
    if fault == "folder":
        (tmp_path / "wandb").write_text("in the way")
    command = [sys.executable, "-c", WANDB_RUN, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("TOLD ")]
    if fault == "folder":
        assert told[0].startswith("TOLD wandb did not start (")
        assert told[1:] == ["TOLD wandb did not get 2 of 2 rows; metrics.jsonl has them all"]
        return
    assert len(told) == (fault == "no key")
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
