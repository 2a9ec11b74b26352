from __future__ import annotations

import json
import shutil

import pytest

from inbox_env.errors import UsageError
from scripts.bench_browser import chromium
from scripts.bench_playground import measure_browser
from scripts.bench_runs import write_run
from scripts.cli import main


@pytest.mark.slow
def test_the_playground_is_measured_without_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--mails", "300", "--streams", "4", "--rounds", "1", "--typed", "3", "--trajectories", "300", "--json"]
    assert main(["bench-system", "playground", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stream_errors"] == 0
    assert 0 < found["first_event_ms"]["p50"] <= found["first_event_ms"]["p99"]
    assert found["page_bytes"] < 200_000
    assert found["trajectories"] == 300
    assert 0 < found["run_filter_ms"]["p50"] <= found["run_filter_ms"]["p99"]


@pytest.mark.slow
def test_a_browser_measures_what_it_draws(tmp_path, monkeypatch):
    pytest.importorskip("playwright.sync_api")
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    monkeypatch.chdir(tmp_path)
    found = measure_browser(300, 300)
    assert 0 < found["browser_inbox_first_rows_ms"]["p50"] < 60_000
    assert 0 < found["browser_run_first_rows_ms"] < 60_000
    assert 0 < found["browser_run_filter_ms"]["p50"] <= found["browser_run_filter_ms"]["p99"]


def test_without_a_browser_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="--browser needs"), chromium():
        pass


def test_nothing_to_measure_is_refused(capsys):
    assert main(["bench-system", "playground", "--streams", "0"]) == 2
    assert "--streams" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 130, 257])
def test_the_run_that_is_measured_has_as_many_episodes_as_asked_for(tmp_path, count):
    run = write_run(tmp_path / "run", count, tmp_path)
    sizes = [len(path.read_text(encoding="utf-8").splitlines()) for path in sorted((run / "trajectories").iterdir())]
    assert sum(sizes) == count
    assert set(sizes[:-1]) <= {128}
