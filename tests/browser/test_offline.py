"""Without a network the page works as with one: nothing of it comes from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def can_leave_the_network() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
def test_f77_a_question_is_asked_and_answered_where_there_is_loopback_alone(tmp_path) -> None:
    pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or not can_leave_the_network():
        pytest.skip("needs chromium and `unshare -rn`")
    command = ["unshare", "-rn", sys.executable, "-m", "tests.browser.offline_visit", str(tmp_path), chromium]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    visit = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert visit.returncode == 0, visit.stderr
    state, elsewhere, *shown = visit.stdout.splitlines()
    assert (state, elsewhere) == ("offline", "requests to elsewhere: []")
    assert any(line.startswith("Searched") for line in shown)
    assert any("Right answer" in line or "Reward" in line for line in shown)
