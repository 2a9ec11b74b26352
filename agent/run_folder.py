"""A run folder: everything that one run writes, held by one process at a time.

`config.json`, `metrics.jsonl`, `checkpoints/`, `trajectories/`, `evaluation/`, `model/`, `summary.json`, `report.*`.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.grpo.config import TrainConfig, dump_config
from inbox_env.errors import ResourceError, UsageError

CONFIG = "config.json"


@contextmanager
def open_run(config: TrainConfig, *, is_resuming: bool, is_clean: bool) -> Iterator[Path]:
    """Yield the locked run folder, with `config.json` written.

    Raises UsageError when the folder holds another run and neither resuming nor cleaning was asked for, or when
    the configuration of a resumed run has changed; ResourceError when another process holds it.
    """
    run = config.run.out / config.run.name
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResourceError(60, "another process is writing this run", where=str(run)) from error
        _prepare(run, config, is_resuming=is_resuming, is_clean=is_clean)
        yield run


def _prepare(run: Path, config: TrainConfig, *, is_resuming: bool, is_clean: bool) -> None:
    path = run / CONFIG
    if is_clean:
        for entry in run.iterdir():
            if entry.name != "lock":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not path.is_file():
        path.write_text(dump_config(config), encoding="utf-8")
        return
    if not is_resuming:
        raise UsageError(64, "the run folder is not empty", where=str(run), next_step="give --resume or --clean")
    if changed := _changed_keys(TrainConfig.model_validate_json(path.read_text(encoding="utf-8")), config):
        raise UsageError(
            65,
            f"the configuration changed: {', '.join(changed)}",
            where=str(path),
            next_step="undo it, or give --clean",
        )


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
