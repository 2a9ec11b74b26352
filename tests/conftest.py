"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Small tensors gain nothing from more threads, and lose much when another process takes one of the cores. Set before
# torch is imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROJECT_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real mail; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("MAILSLEUTH_SHARED_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real mail not found at {path}; set MAILSLEUTH_SHARED_DATA")
    return path
