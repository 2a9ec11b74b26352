"""Where policies are found when none is named: the trained run, the bundled base, other runs.

Looks at files only: nothing is loaded. Knows nothing of how a policy acts.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

LOCAL = "local:"
RUNS, BASE = Path("data/runs"), Path("data/base")
TRAINED = RUNS / "laptop"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")


def default_policy() -> str | None:
    """Return the trained run when there is one, else the bundled base; None without either or without torch."""
    if find_spec("torch") is None:
        return None
    folder = next((path for path in (TRAINED, BASE) if is_model(path)), None)
    return f"{LOCAL}{folder}" if folder else None


def local_policies() -> list[str]:
    """Return the runs that hold a model, by name, and the bundled base."""
    runs = sorted(RUNS.iterdir()) if RUNS.is_dir() else []
    return [f"{LOCAL}{path}" for path in (*runs, BASE) if is_model(path)]


def is_model(path: Path) -> bool:
    """Return whether a folder, or the run that it is, holds a model."""
    folder = path / "model" if (path / "model").is_dir() else path
    return any((folder / name).is_file() for name in _WEIGHTS)
