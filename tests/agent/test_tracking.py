"""Trackers: told of every row, numbers only, and never a reason for training to stop."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from agent.tracking import check_tracker, open_tracker
from inbox_env.errors import UsageError
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
    module.login = lambda **_: True
    module.Settings = lambda **options: options
    module.init = lambda **options: module.kept.append(options) or run
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


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


@pytest.mark.parametrize("key", [True, False])
def test_the_mode_is_decided_before_it_starts(tmp_path, wandb, tracked, key, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    wandb.login = lambda **_: key
    with open_tracker(tracked, tmp_path):
        pass
    assert wandb.kept[0]["mode"] == (None if key else "offline")


@pytest.mark.parametrize("track", ["wandb", "tensorboard"])
def test_a_package_that_is_not_installed_is_named_before_the_run_begins(monkeypatch, track):
    monkeypatch.setitem(sys.modules, track, None)
    with pytest.raises(UsageError, match=rf"needs {track}.*mailsleuth\[track\]"):
        check_tracker(track)
    check_tracker("none")
