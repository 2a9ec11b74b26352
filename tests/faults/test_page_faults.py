"""Rows F72 and F73: where the pages of `play` and `view` may listen, and what happens without a browser."""

from __future__ import annotations

import importlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from inbox_env.errors import ExitCode
from scripts.cli import command_parser, main
from scripts.page_options import TOKEN_VARIABLE
from scripts.playground.guard import COOKIE
from tests.scripts.playground.runs import make_run
from tests.scripts.playground.served import invented

TOKEN = "a-token-of-sixteen-characters"
COMMANDS = ["play", "view"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    make_run(folder, *invented(folder), num_steps=1)
    return folder


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The environment of a machine without a screen; returns what would have been opened."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url))
    return opened


def words(command: str, folder: Path, *options: str) -> list[str]:
    """Return the command line that shows the folder's mailbox or run at a free port."""
    about = ["--mailbox", str(invented(folder)[0])] if command == "play" else [str(folder / "run")]
    return [command, *about, "--port", "0", *options]


@contextmanager
def shown(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, *options: str) -> Iterator[str]:
    """Run a command in a thread, as `main` would; yield the address that it prints."""
    servers: list[uvicorn.Server] = []

    class Kept(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            servers.append(self)

    monkeypatch.setattr("uvicorn.Server", Kept)
    module = importlib.import_module(f"scripts.{command}")
    args = command_parser(command, module).parse_args(words(command, folder, *options)[1:])
    thread = threading.Thread(target=lambda: module.run(args), daemon=True)
    thread.start()
    printed, deadline = "", time.monotonic() + 10
    while "Ctrl-C" not in printed and time.monotonic() < deadline:
        time.sleep(0.01)
        printed += capsys.readouterr().out
    try:
        yield re.search(r"http://\S+", printed)[0]
    finally:
        servers[0].should_exit = True
        thread.join(timeout=10)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "desk.example"])
@pytest.mark.parametrize("given", ["nothing", "the flag alone", "the token alone"])
def test_f72_no_page_listens_beyond_this_machine_without_the_flag_and_a_token(
    folder, monkeypatch, capsys, command, host, given
) -> None:
    monkeypatch.setattr("scripts.playground.server.listen", lambda host, port: pytest.fail(f"listens at {host}"))
    if given == "the token alone":
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    flag = ["--unsafe-allow-network"] if given == "the flag alone" else []
    assert main(words(command, folder, "--host", host, *flag)) == ExitCode.USAGE
    said = capsys.readouterr()
    assert "can be reached from other machines" in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_f72_with_both_a_page_listens_everywhere_and_wants_the_token(folder, monkeypatch, capsys, command) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    wide = ("--host", "0.0.0.0", "--unsafe-allow-network")
    with shown(command, folder, monkeypatch, capsys, *wide) as address:
        assert address.endswith(f"/?token={TOKEN}")
        url = address.partition("/?")[0]
        assert httpx.get(f"{url}/api/views").status_code == 401
        assert httpx.get(f"{url}/api/views", cookies={COOKIE: TOKEN}).status_code == 200
        assert httpx.get(address).status_code == 303


@pytest.mark.parametrize("command", COMMANDS)
def test_f72_a_short_token_is_refused(folder, monkeypatch, capsys, command) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    assert main(words(command, folder, "--host", "0.0.0.0", "--unsafe-allow-network")) == ExitCode.USAGE
    assert "shorter than 16 characters" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_f73_without_a_screen_the_page_is_served_and_says_its_address(
    folder, monkeypatch, capsys, no_window, command
) -> None:
    with shown(command, folder, monkeypatch, capsys) as address:
        assert httpx.get(address).status_code == 200
    assert no_window == [], "a browser of the terminal would take it over"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("is_absent", [False, True])
def test_f73_with_a_screen_the_address_is_opened_and_no_browser_is_no_fault(
    folder, monkeypatch, capsys, command, is_absent
) -> None:
    asked = threading.Event()

    def open_it(url: str) -> bool:
        asked.set()
        return not is_absent

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", open_it)
    monkeypatch.setattr("sys.platform", "linux")
    with shown(command, folder, monkeypatch, capsys) as address:
        assert asked.wait(5)
        assert httpx.get(address).status_code == 200
    asked.clear()
    with shown(command, folder, monkeypatch, capsys, "--no-browser") as address:
        assert httpx.get(address).status_code == 200
        assert not asked.is_set()


@pytest.mark.parametrize("command", COMMANDS)
def test_f73_a_busy_port_means_the_next_one(folder, monkeypatch, capsys, command) -> None:
    with shown(command, folder, monkeypatch, capsys) as first:
        port = first.rstrip("/").rpartition(":")[2]
        with shown(command, folder, monkeypatch, capsys, "--port", port) as second:
            assert int(port) < int(second.rstrip("/").rpartition(":")[2]) < int(port) + 20
            assert httpx.get(second).status_code == 200
