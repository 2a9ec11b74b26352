from __future__ import annotations

import json
import math

import pytest

from agent.grpo.metrics import METRICS, MetricsWriter, read_metrics


def test_rows_are_readable_as_soon_as_they_are_written(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    writer.write({"loss": 0.5, "step": 1})
    assert list(read_metrics(writer.path)) == [{"step": 1, "loss": 0.5}]
    writer.close()


def test_an_undocumented_name_is_refused_and_nothing_is_written(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="undocumented metric: lss"):
        writer.write({"step": 1, "lss": 0.5})
    with pytest.raises(ValueError, match="step"):
        writer.write({"loss": 0.5})
    assert writer.path.read_text() == ""


def test_resuming_removes_later_and_torn_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    for step in range(1, 6):
        writer.write({"step": step, "loss": step / 3})
    writer.close()
    kept = path.read_text().splitlines()[:3]
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    resumed = MetricsWriter(path, after_step=3)
    resumed.write({"step": 4, "loss": 0.0})
    assert path.read_text().splitlines()[:3] == kept
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4]


def test_a_new_run_starts_an_empty_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    assert list(read_metrics(MetricsWriter(path).path)) == []


def test_a_number_that_is_not_finite_is_null_in_the_file_and_nan_when_read(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    writer.write({"step": 1, "grad_norm": math.inf})
    assert json.loads(writer.path.read_text())["grad_norm"] is None
    assert math.isnan(next(read_metrics(writer.path))["grad_norm"])


def test_every_metric_says_what_it_means():
    assert all(METRICS.values())
