"""A signal inside SQLite, and a reader that left, end every command with the documented exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox_env.emails import Address, Email
from inbox_env.store import build_inbox
from scripts.cli import EXIT_BROKEN_PIPE

ANN = Address("Ann Lee", "ann@example.org")
COMMANDS = {
    "search": ["--inbox", "me", "budget"],
    "read": ["--inbox", "me", "1"],
    "stats": [],
    "inboxes": [],
    "doctor": [],
}
SIGNALLED = """
import os, sys
from inbox_env import database
from scripts.cli import main
signum = int(sys.argv.pop(1))
def signalled(self):
    os.kill(os.getpid(), signum)
    return False
database._PROGRESS_OPCODES = 1
database.Database._is_too_slow = signalled
sys.exit(main())
"""
PLAIN = "import sys; from scripts.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mail") / "my.db"
    sent = datetime(2001, 5, 1, 12, tzinfo=UTC)
    build_inbox(path, "me", [Email("<1@x>", sent, ANN, (ANN,), "Budget", "The budget.")], owner=ANN)
    return path


@pytest.mark.parametrize(
    ("signum", "code", "said"),
    [(signal.SIGINT, 130, "error[E-STP-01]: interrupted - {}\n"), (signal.SIGTERM, 143, "")],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_that_sqlite_swallows_still_ends_the_command(
    mailbox: Path, command: str, signum: int, code: int, said: str
) -> None:
    arguments = [str(int(signum)), command, "--mailbox", str(mailbox), *COMMANDS[command]]
    done = subprocess.run([sys.executable, "-c", SIGNALLED, *arguments], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (code, said.format(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_alike_when_its_reader_has_left(mailbox: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [command, "--mailbox", str(mailbox), *COMMANDS[command]]
    try:
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, *arguments], stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_BROKEN_PIPE, b"")
