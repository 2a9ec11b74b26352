"""What README promises holds: its marked commands run, and its tables name what the code has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from email.message import EmailMessage
from mailbox import mbox
from pathlib import Path

import pytest

from agent.grpo.metrics import METRICS
from inbox_env.errors import ExitCode
from scripts.config_reference import reference

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNABLE = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", README, re.DOTALL)
NEEDS_MODEL = re.findall(r"<!-- run: model -->\n```sh\n(.*?)```", README, re.DOTALL)
BASE_MODEL = ROOT / "data" / "base"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with `mail.mbox` in it: twenty mails, one of them about the budget for 2001."""
    box = mbox(tmp_path / "mail.mbox")
    for number in range(1, 21):
        mail = EmailMessage()
        mail["From"] = "Ann Lee <ann@example.org>"
        mail["To"] = "Me <me@example.org>"
        mail["Date"] = f"Mon, {number:02} Jan 2001 10:00:00 +0000"
        mail["Message-ID"] = f"<{number}@example.org>"
        mail["Subject"] = "Budget 2001" if number == 17 else f"Note {number}"
        mail.set_content("The budget for 2001 is 40,000 dollars." if number == 17 else f"This is note {number}.")
        box.add(mail)
    box.close()
    return tmp_path


def run(kind: str, block: str, home: Path) -> str:
    python = Path(sys.executable)
    command = ["bash", "-euo", "pipefail", "-c", block] if kind == "sh" else [str(python), "-c", block]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "HOME": str(home), "PATH": path}
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_marked_commands_run_in_their_order(home: Path) -> None:
    outputs = [run(kind, block, home) for kind, block in RUNNABLE]
    assert [kind for kind, _ in RUNNABLE] == ["sh", "python"]
    assert "me\t20\t2001-01-01\t2001-01-20" in outputs[0]
    assert "The budget for 2001 is 40,000 dollars." in outputs[0]
    assert outputs[1] == "17 Budget 2001\n"


@pytest.mark.skipif(not BASE_MODEL.is_dir(), reason="data/base, which stands in for a trained run, is not here")
def test_the_commands_that_need_a_model_run(home: Path) -> None:
    (home / "data" / "runs").mkdir(parents=True)
    (home / "data" / "runs" / "laptop").symlink_to(BASE_MODEL)
    run("sh", RUNNABLE[0][1], home)
    assert NEEDS_MODEL
    assert all("turns" in run("sh", block, home) for block in NEEDS_MODEL)


def test_every_configuration_key_and_every_metric_is_explained() -> None:
    page = (ROOT / "scripts" / "configs" / "README.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"
    assert [name for name, meaning in METRICS.items() if f"| `{name}` | {meaning} |" not in page] == []


def test_every_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} >= set(ExitCode)


def test_every_make_target_and_file_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    links = re.findall(r"\]\(([^):]+)\)", README)
    named = re.findall(r"`((?:inbox_env|rewards|agent|scripts)/[\w./]+)`", README)
    assert [path for path in [*links, *named] if not (ROOT / path).exists()] == []
