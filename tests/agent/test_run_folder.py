"""Run folders: one writer, nothing overwritten unasked, and a changed configuration named."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys

import pytest

from agent.grpo.config import TrainConfig
from agent.run_folder import open_run
from inbox_env.errors import CorruptError, ResourceError, UsageError
from tests.agent.tiny import make_config


def visit(config, *, work=True, is_resuming=False, is_clean=False):
    """Open the run as a command does, leave something of a run behind, and return the folder."""
    with open_run(config, is_resuming=is_resuming, is_clean=is_clean) as run:
        if work:
            (run / "metrics.jsonl").touch()
    return run


def test_a_run_folder_holds_its_configuration(tmp_path):
    config = make_config(tmp_path)
    run = visit(config)
    assert run == tmp_path / "run"
    assert TrainConfig.model_validate_json((run / "config.json").read_text()) == config


def test_a_used_folder_is_neither_overwritten_nor_reused_unasked(tmp_path):
    run = visit(make_config(tmp_path))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UsageError, match=r"not empty.*--resume or --clean"):
        visit(make_config(tmp_path, grpo={"steps": 9}))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert visit(make_config(tmp_path), is_resuming=True) == run


def test_a_run_that_failed_before_its_first_result_is_begun_again(tmp_path):
    visit(make_config(tmp_path, model={"path": "typo"}), work=False)
    run = visit(make_config(tmp_path, model={"path": "right"}))
    assert json.loads((run / "config.json").read_text())["model"]["path"] == "right"


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("grpo", {"learning_rate": 0.5}, "grpo.learning_rate"),
        ("run", {"seed": 8}, "run.seed"),
        ("reward", {"wrong": -0.7}, "reward.wrong"),
        ("data", {"synthetic": {name: {"seeds": [2]} for name in ("train", "dev", "test")}}, "data.synthetic"),
    ],
)
def test_a_changed_configuration_is_refused_by_name(tmp_path, section, values, key):
    visit(make_config(tmp_path))
    with pytest.raises(UsageError, match=f"configuration changed: {key} ") as failure:
        visit(make_config(tmp_path, **{section: values}), is_resuming=True)
    assert str(tmp_path / "run" / "config.json") in str(failure.value)


def test_how_long_a_run_lasts_may_change(tmp_path):
    visit(make_config(tmp_path, grpo={"max_seconds": 1.0}))
    visit(make_config(tmp_path, grpo={"max_seconds": 99.0}), is_resuming=True)


def test_clean_empties_the_folder_and_takes_the_new_configuration(tmp_path):
    run = visit(make_config(tmp_path))
    (run / "checkpoints" / "step-000001").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").touch()
    (run / "link").symlink_to(outside)
    visit(make_config(tmp_path, run={"seed": 9}), is_clean=True, work=False)
    assert {path.name for path in run.iterdir()} == {"config.json", "lock"}
    assert json.loads((run / "config.json").read_text())["run"]["seed"] == 9
    assert (outside / "kept.txt").exists()


@pytest.mark.parametrize("options", [{}, {"is_clean": True}, {"is_resuming": True}])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path, options):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="something else than a run"):
        visit(make_config(tmp_path), **options)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("text", ["", "{", '{"old_key": 1}', "\x00"])
def test_a_damaged_configuration_of_a_run_is_refused(tmp_path, text):
    run = visit(make_config(tmp_path))
    (run / "config.json").write_text(text)
    with pytest.raises(CorruptError, match="damaged or of another version"):
        visit(make_config(tmp_path), is_resuming=True)
    visit(make_config(tmp_path), is_clean=True)


def test_one_process_at_a_time(tmp_path):
    config = make_config(tmp_path)
    for options in ({"is_resuming": True}, {"is_clean": True}):
        with open_run(config, is_resuming=True, is_clean=False) as run:
            (run / "metrics.jsonl").touch()
            with pytest.raises(ResourceError, match="another process"):
                visit(config, **options)
            assert (run / "metrics.jsonl").exists()
    visit(config, is_resuming=True)


def test_a_killed_run_leaves_no_lock(tmp_path):
    run = visit(make_config(tmp_path))
    code = (
        "import fcntl, os, signal, sys\n"
        f"lock = open({str(run / 'lock')!r}, 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    visit(make_config(tmp_path), is_resuming=True)
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_resuming_what_is_not_there_says_that_it_begins(tmp_path, caplog):
    config = make_config(tmp_path)
    visit(config, is_resuming=True)
    assert "nothing to resume" in caplog.text
    caplog.clear()
    visit(config, is_resuming=True)
    assert not caplog.text
