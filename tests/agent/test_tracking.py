"""Trackers: told of every row, numbers only, and never a reason for training to stop."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from agent.tracking import Tracker, open_tracker
from inbox_env.errors import UpstreamError, UsageError
from tests.agent.tiny import make_config

ROWS = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


@pytest.fixture
def tracked(tmp_path):
    return make_config(tmp_path).model_copy(update={"track": "wandb"})


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package that keeps what it was given."""
    module = ModuleType("wandb")
    module.kept = []
    run = SimpleNamespace(
        log=lambda row, step: module.kept.append((step, row)), finish=lambda: module.kept.append("finished")
    )
    module.Settings = lambda **options: options
    module.init = lambda **options: module.kept.append(options) or run
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_a_tracker_that_fails_is_named_once_and_left_alone(caplog):
    sent = []

    def send(row):
        sent.append(row)
        raise ConnectionError("no route")

    tracker = Tracker("board", send, lambda: None)
    with caplog.at_level(logging.WARNING):
        for row in ROWS * 2:
            tracker.log(row)
        tracker.close()
    assert sent == ROWS[:1]
    assert [record.getMessage() for record in caplog.records] == [
        "board stopped taking metrics (ConnectionError); metrics.jsonl has them all"
    ]


def test_a_tracker_that_cannot_be_closed_does_not_hide_how_training_ended(caplog, tmp_path, wandb, tracked):
    def fail():
        raise TimeoutError("still uploading")

    wandb.init = lambda **options: SimpleNamespace(log=lambda row, step: None, finish=fail)
    with pytest.raises(KeyError, match="ours"), open_tracker(tracked, tmp_path):
        raise KeyError("ours")
    assert "was not closed (TimeoutError)" in caplog.text


def test_no_tracker_takes_everything_and_does_nothing(tmp_path):
    with open_tracker(make_config(tmp_path), tmp_path) as tracker:
        for row in ROWS:
            tracker.log(row)
    assert list(tmp_path.iterdir()) == []


def test_rows_arrive_under_their_step_and_the_run_is_finished(tmp_path, wandb, tracked):
    with open_tracker(tracked, tmp_path) as tracker:
        for row in ROWS:
            tracker.log(row)
    assert wandb.kept[1:] == [(1, ROWS[0]), (2, ROWS[1]), "finished"]


def test_neither_mail_nor_code_nor_paths_are_sent(tmp_path, wandb, tracked):
    with open_tracker(tracked, tmp_path):
        pass
    start = wandb.kept[0]
    assert set(start["config"]) == {"grpo", "loss", "reward", "sampling"}
    assert str(tmp_path) not in repr(start["config"])
    assert start["settings"]["disable_code"]
    assert start["settings"]["disable_git"]
    assert start["settings"]["console"] == "off"


@pytest.mark.parametrize(("track", "package"), [("wandb", "wandb"), ("tensorboard", "tensorboard")])
def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch, track, package):
    for name in ("wandb", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    config = make_config(tmp_path).model_copy(update={"track": track})
    with pytest.raises(UsageError, match=rf"needs .*{package}.*mailsleuth\[track\]"), open_tracker(config, tmp_path):
        pass


def test_a_tracker_that_does_not_start_is_named_before_any_training(tmp_path, wandb, tracked):
    def fail(**_):
        raise RuntimeError("bad\nkey")

    wandb.init = fail
    with pytest.raises(UpstreamError, match="wandb did not start") as failure, open_tracker(tracked, tmp_path):
        pass
    assert "\n" not in failure.value.line()
