"""Consent: where mail goes is said once, and it goes only when somebody agreed."""

from __future__ import annotations

import io

import pytest

from inbox_env.errors import UsageError
from scripts.consent import confirm_sending

SPECS = ("api:openai/m", "oracle", "api:openai/other", "local:x")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSLEUTH_API_BASE", "https://user:secret@llm.example.org/v1?key=secret")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_option_agrees_and_the_host_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    confirm_sending(SPECS, is_agreed=True)
    said = capsys.readouterr()
    assert said.err.count("mail leaves this machine") == said.err.count("\n") == 1
    assert "llm.example.org" in said.err
    assert "secret" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(("answer", "is_agreed"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_a_person_at_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str, is_agreed: bool) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer + "\n"))
    if is_agreed:
        confirm_sending(SPECS, is_agreed=False)
    else:
        with pytest.raises(UsageError, match="--yes-send"):
            confirm_sending(SPECS, is_agreed=False)


def test_a_pipe_never_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="not agreed"):
        confirm_sending(SPECS, is_agreed=False)


@pytest.mark.parametrize("specs", [("oracle", "local:x"), ("api:openai/m",)])
def test_what_stays_on_this_machine_needs_no_consent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], specs: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MAILSLEUTH_API_BASE", "http://127.0.0.1:8000/v1")
    confirm_sending(specs, is_agreed=False)
    assert capsys.readouterr().err == ""
