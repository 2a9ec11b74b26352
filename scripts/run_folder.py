"""A run folder as it is read back: metrics, summary, samples, configuration; whatever is missing is empty.

Knows nothing of how a run is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.evaluate import PolicyReport
from agent.grpo.metrics import read_metrics
from inbox_env.errors import UsageError
from inbox_env.trajectory import Trajectory


class Summary(BaseModel):
    """`summary.json`: policies side by side, what training took, and the versions that it ran with."""

    model_config = ConfigDict(frozen=True)

    policies: tuple[PolicyReport, ...]
    train: dict[str, Any] = {}
    versions: dict[str, str] = {}


class Sample(BaseModel):
    """A row of `samples.jsonl`: one question played before and after training."""

    model_config = ConfigDict(frozen=True)

    question_id: str
    before: Trajectory
    after: Trajectory


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything a report shows; `config` is the run's resolved configuration, flattened to dotted keys."""

    name: str
    summary: Summary
    metrics: tuple[dict[str, float], ...]
    samples: tuple[Sample, ...]
    config: dict[str, str]


def read_run_folder(run: Path) -> RunFolder:
    """Return what a finished run left; raises UsageError when it has no readable summary or samples."""
    metrics, config = run / "metrics.jsonl", run / "config.json"
    return RunFolder(
        name=run.resolve().name,
        summary=_read_summary(run / "summary.json"),
        metrics=tuple(read_metrics(metrics)) if metrics.is_file() else (),
        samples=_read_samples(run / "samples.jsonl"),
        config=_flatten(_read_json(config)) if config.is_file() else {},
    )


def _read_summary(path: Path) -> Summary:
    if not path.is_file():
        raise UsageError(70, "the run has no summary", where=str(path), next_step="report a run that has finished")
    try:
        return Summary.model_validate(_read_json(path))
    except ValidationError as error:
        raise UsageError(71, f"not a summary: {error.errors()[0]['msg']}", where=str(path)) from error


def _read_samples(path: Path) -> tuple[Sample, ...]:
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return tuple(Sample.model_validate_json(line) for line in lines if line.strip())
    except ValidationError as error:
        raise UsageError(72, f"not a sample: {error.errors()[0]['msg']}", where=str(path)) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(73, "not a JSON file", where=str(path)) from error


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: value if isinstance(value, str) else json.dumps(value)}
    flat: dict[str, str] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat
