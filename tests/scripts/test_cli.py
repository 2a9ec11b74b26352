"""The command line: quick to start, one line for every failure, documented exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from inbox_env.errors import CorruptError, UsageError
from scripts import cli

CommandLine = Callable[..., int]


@pytest.fixture
def run_raising(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run `mailsleuth inboxes ...` with a command body of the test's own."""

    def run(body: Callable[[argparse.Namespace], int], *options: str) -> int:
        module = SimpleNamespace(__doc__="A command.", add_arguments=lambda parser: None, run=body)
        monkeypatch.setattr(cli, "_load", lambda name: module)
        return cli.main(["inboxes", *options])

    return run


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def body(args: argparse.Namespace) -> int:
        raise error

    return body


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_table_repeats_each_module_docstring(name: str) -> None:
    module = cli._load(name)
    assert (module.__doc__ or "").splitlines()[0] == cli.COMMANDS[name].help
    parser = cli.command_parser(name, module)
    assert f"mailsleuth {name}" in parser.format_help()


def test_help_starts_quickly_and_imports_nothing_heavy() -> None:
    code = "import sys; from scripts.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    best = float("inf")
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        best = min(best, time.monotonic() - started)
    heavy = {"torch", "transformers", "numpy", "pydantic", "rich", "litellm", "wandb", "sqlite3"}
    assert not [name for name in heavy if f"'{name}'" in done.stderr]
    assert all(name in done.stdout for name in cli.COMMANDS)
    assert best <= 0.4


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mailsleuth 0.")


def test_no_command_prints_the_help_as_a_usage_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serch"]) == 2
    err = capsys.readouterr().err
    assert err == "error[E-USE-02]: no such command: serch - did you mean 'search'?\n"


@pytest.mark.parametrize("words", [["--api-key", "sk-secret"], ["--api-key=sk-secret"], ["--api-key=sk-secret", "x"]])
def test_of_an_unknown_option_only_the_name_is_repeated(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stats", "--mailbox", "m.db", *words]) == 2
    error = capsys.readouterr().err
    assert "unknown option --api-key - see mailsleuth stats --help" in error
    assert "secret" not in error


def test_an_argument_too_many_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stats", "--mailbox", "m.db", "me", "you"]) == 2
    assert "too many arguments, from 'me' on" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--wrong"], ["inboxes"], ["inboxes", "--mailbox", "x", "--wrong"]])
def test_wrong_arguments_get_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error[E-USE-01]")
    assert err.count("\n") == 1


def _missing(package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.nn")


FAILURES = [
    (UsageError(7, "no such file", where="x.mbox", next_step="check it"), 2, "error[E-USE-07]: no such file - x.mbox"),
    (CorruptError(1, "damaged"), 4, "error[E-DAT-01]: damaged"),
    (_missing("torch"), 2, "pip install -e '.[train]'"),
    (_missing("litellm"), 2, "pip install -e '.[api]'"),
    (_missing("own_module"), 1, "error[E-BUG-00]: ModuleNotFoundError"),
    (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 5, "No space left on device - /x/y"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"), 2, "/x/y"),
    (MemoryError(), 5, "out of memory"),
    (KeyError("boom"), 1, "error[E-BUG-00]: KeyError: 'boom' - run with --debug for the traceback"),
    (ValueError("two\nlines \x1b[2J"), 1, "ValueError: two lines - run"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (SystemExit(143), 143, ""),
]


@pytest.mark.parametrize(("error", "code", "shown"), FAILURES, ids=[f"{type(e[0]).__name__}-{e[1]}" for e in FAILURES])
def test_a_failure_is_one_line_and_its_exit_code(
    error: BaseException, code: int, shown: str, run_raising: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(raising(error)) == code
    err = capsys.readouterr().err
    assert shown in err
    assert err.count("\n") == (1 if shown else 0)


@pytest.mark.parametrize(("command", "way_on"), [("train", "--resume"), ("bench", "the same command"), ("ask", "")])
def test_an_interrupted_command_has_a_code_and_says_how_to_go_on(command: str, way_on: str) -> None:
    line = cli._interrupted([command, "--json"])
    assert line.startswith(f"error[E-STP-01]: interrupted - {command}")
    assert way_on in line


def test_debug_shows_the_traceback(run_raising: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_raising(raising(KeyError("boom")), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_unwinds_and_exits_143(run_raising: CommandLine) -> None:
    cleaned = []

    def body(args: argparse.Namespace) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            cleaned.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert run_raising(body) == 143
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_leaves_is_no_error() -> None:
    code = """
import sys, types
from scripts import cli
def body(args):
    for _ in range(100_000):
        print("a line of output")
    return 0
module = types.SimpleNamespace(__doc__="A command.", add_arguments=lambda parser: None, run=body)
cli._load = lambda name: module
sys.exit(cli.main(["inboxes"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == cli.EXIT_BROKEN_PIPE
