from __future__ import annotations

import json

import pytest

from scripts.cli import main


@pytest.mark.slow
def test_the_playground_is_measured_without_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--mails", "300", "--streams", "4", "--rounds", "1", "--typed", "3", "--json"]
    assert main(["bench-system", "playground", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stream_errors"] == 0
    assert 0 < found["first_event_ms"]["p50"] <= found["first_event_ms"]["p99"]
    assert found["page_bytes"] < 200_000


def test_nothing_to_measure_is_refused(capsys):
    assert main(["bench-system", "playground", "--streams", "0"]) == 2
    assert "--streams" in capsys.readouterr().err
