"""A run folder: everything that one run writes, held by one process at a time.

`config.json`, `metrics.jsonl`, `checkpoints/`, `trajectories/`, `evaluation/`, `model/`, `summary.json`, `report.*`.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from agent.grpo.config import TrainConfig, dump_config
from inbox_env.errors import CorruptError, ResourceError, UsageError

CONFIG, LOCK = "config.json", "lock"


@contextmanager
def open_run(config: TrainConfig, *, is_resuming: bool, is_clean: bool) -> Iterator[Path]:
    """Yield the locked run folder, with `config.json` written.

    Raises UsageError when the folder holds another run and neither resuming nor cleaning was asked for, when it holds
    something else, or when the configuration of a resumed run has changed; ResourceError when another process holds it.
    """
    run = config.run.out / config.run.name
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResourceError(60, "another process is writing this run", where=str(run)) from error
        _prepare(run, config, is_resuming=is_resuming, is_clean=is_clean)
        yield run


def _prepare(run: Path, config: TrainConfig, *, is_resuming: bool, is_clean: bool) -> None:
    path = run / CONFIG
    content = [entry for entry in run.iterdir() if entry.name not in (LOCK, CONFIG)]
    if content and not path.is_file():
        raise UsageError(67, "the folder holds something else than a run", where=str(run), next_step="set run.name")
    if is_clean:
        _remove(content)
    if is_clean or not content:  # a run that failed before its first result leaves nothing to lose
        path.write_text(dump_config(config), encoding="utf-8")
    elif not is_resuming:
        raise UsageError(64, "the run folder is not empty", where=str(run), next_step="give --resume or --clean")
    elif changed := _changed_keys(_read_config(path), config):
        what = f"the configuration changed: {', '.join(changed)}"
        raise UsageError(65, what, where=str(path), next_step="undo it, or give --clean")


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


def _changed_keys(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Return the sections' keys that differ; how long a run lasts may change between its sittings."""
    changed = []
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for section, value in after.items():
        if isinstance(value, dict) and isinstance(before[section], dict):
            changed += [f"{section}.{key}" for key in value if before[section].get(key) != value[key]]
        elif before[section] != value:
            changed.append(section)
    return [key for key in changed if key not in ("grpo.max_seconds",)]
