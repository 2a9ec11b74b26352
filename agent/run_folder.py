"""A run folder: everything that one run writes, held by one process at a time.

`config.json`, `identity.json`, `metrics.jsonl`, `checkpoints/`, `trajectories/`, `tokens/` (a few groups of each step,
token by token), `evaluation/`, `model/`, `summary.json`, `report.*`; `changes.jsonl` says what was changed by force
between two sittings.
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.grpo.config import TrainConfig, dump_config
from inbox_env.errors import CorruptError, ResourceError, UsageError

_log = logging.getLogger(__name__)

CONFIG, LOCK, IDENTITY, CHANGES = "config.json", "lock", "identity.json", "changes.jsonl"
FREE_TO_CHANGE = {"grpo.max_seconds", "run.max_memory_gb", "run.survive_full_disk", "model.allow_download"} | {
    f"judge.{key}" for key in ("max_calls", "max_cost", "concurrency", "call_seconds", "retry_seconds", "pause_seconds")
}
Changes = dict[str, tuple[Any, Any]]  # by key: before and after


@contextmanager
def open_run(config: TrainConfig, *, is_resuming: bool, is_clean: bool, is_forced: bool = False) -> Iterator[Path]:
    """Yield the locked run folder, with `config.json` written.

    Raises UsageError when the folder holds another run and neither resuming nor cleaning was asked for, when it holds
    something else, or when the configuration of a resumed run has changed (if forced, the change is recorded instead);
    ResourceError when another process holds it.
    """
    run = config.run.out / config.run.name
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResourceError(60, "another process is writing this run", where=str(run)) from error
        _prepare(run, config, is_resuming=is_resuming, is_clean=is_clean, is_forced=is_forced)
        yield run


def check_identity(run: Path, identity: Mapping[str, str], *, is_forced: bool = False) -> None:
    """Keep the hashes of what a run was started with (model, data), by name, or compare with those on file.

    Raises UsageError when one differs, unless forced: then the change is recorded.
    """
    path = run / IDENTITY
    before = _read_identity(path) if path.is_file() else {}
    changed: Changes = {
        name: (before[name][:12], value[:12]) for name, value in identity.items() if before.get(name, value) != value
    }
    if changed and not is_forced:
        raise _refused(67, "what the run was started with has changed", changed, path)
    if changed:
        _record(run, changed)
    path.write_text(json.dumps(dict(identity), indent=1) + "\n", encoding="utf-8")


def _prepare(run: Path, config: TrainConfig, *, is_resuming: bool, is_clean: bool, is_forced: bool) -> None:
    path = run / CONFIG
    content = [entry for entry in run.iterdir() if entry.name not in (LOCK, CONFIG, IDENTITY)]
    if content and not path.is_file():
        raise UsageError(67, "the folder holds something else than a run", where=str(run), next_step="set run.name")
    if is_clean:
        _remove(content)
    if is_resuming and not content:
        _log.warning("%s: nothing to resume, the run starts from the beginning", run)
    if is_clean or not content:  # a run that failed before its first result leaves nothing to lose
        (run / IDENTITY).unlink(missing_ok=True)
        path.write_text(dump_config(config), encoding="utf-8")
    elif not is_resuming:
        raise UsageError(64, "the run folder is not empty", where=str(run), next_step="give --resume or --clean")
    elif changed := _changes(_read_config(path), config):
        if not is_forced:
            raise _refused(65, "the configuration changed", changed, path)
        _record(run, changed)
        path.write_text(dump_config(config), encoding="utf-8")


def _refused(number: int, what: str, changed: Changes, path: Path) -> UsageError:
    shown = ", ".join(f"{key} ({_short(before)} -> {_short(after)})" for key, (before, after) in changed.items())
    shown = shown if len(shown) <= 120 else shown[:117] + "..."
    return UsageError(number, f"{what}: {shown}", where=str(path), next_step="undo it, give --clean, or --force")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _record(run: Path, changed: Changes) -> None:
    with (run / CHANGES).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"changed": {key: list(pair) for key, pair in changed.items()}}) + "\n")


def _remove(entries: list[Path]) -> None:
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _read_config(path: Path) -> TrainConfig:
    try:
        return TrainConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        what = "the run's configuration is damaged or of another version"
        raise CorruptError(61, what, where=str(path), next_step="start again with --clean") from error


def _read_identity(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise CorruptError(62, "the run's identity is damaged", where=str(path), next_step="remove the file") from error


def _changes(old: TrainConfig, new: TrainConfig) -> Changes:
    """Return the sections' keys that differ with both values; how long a run lasts may change between its sittings."""
    changed: Changes = {}
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for section, value in after.items():
        if isinstance(value, dict) and isinstance(before[section], dict):
            pairs = {f"{section}.{key}": (before[section].get(key), value[key]) for key in value}
            changed |= {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
        elif before[section] != value:
            changed[section] = (before[section], value)
    return {key: pair for key, pair in changed.items() if key not in FREE_TO_CHANGE}
