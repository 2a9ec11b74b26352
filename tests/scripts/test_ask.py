"""`mailsleuth ask`: the answer, its mails and the words in them, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.policies.scripted import Script, ScriptedPolicy, answer, perfect_reader, read
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from scripts.cli import main

RECIPE = SyntheticRecipe("dev", (1,), num_emails=100, num_questions=20)


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    mailbox, questions = ensure_mailbox(RECIPE, tmp_path_factory.mktemp("ask"))
    return mailbox, questions[0].inbox


def ask(inbox: tuple[Path, str], *options: str) -> int:
    return main(["ask", *options, "--mailbox", str(inbox[0]), "--inbox", inbox[1], "--policy", "local:unused"])


def answering(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Let a script answer: it opens the newest mail and says `text`."""

    def play(*_: object) -> Script:
        yield read(100)
        yield answer(text, [100] if text else [])

    policy = ScriptedPolicy("scripted", play, perfect_reader({}))
    monkeypatch.setattr("agent.policies.load_policy", lambda spec: policy)


def test_an_answer_names_its_mail_and_quotes_it(inbox, monkeypatch, capsys) -> None:
    answering(monkeypatch, "Regards")
    assert ask(inbox, "What is said at the end?", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"], found["stop_reason"]) == ("Regards", "answered")
    assert found["sources"][0]["number"] == 100
    assert ask(inbox, "What is said at the end?") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Regards")
    assert "mail 100" in shown


def test_i_dont_know_is_an_answer_too(inbox, monkeypatch, capsys) -> None:
    answering(monkeypatch, None)
    assert ask(inbox, "Who?") == 0
    assert "I don't know" in capsys.readouterr().out


def test_an_answer_cannot_move_the_cursor(inbox, monkeypatch, capsys) -> None:
    answering(monkeypatch, "fine\x1b[2J\x1b]52;c;aGk=\x07")
    assert ask(inbox, "How?") == 0
    assert "\x1b]" not in capsys.readouterr().out.replace("\x1b[", "")


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused(inbox, capsys, question) -> None:
    assert ask(inbox, question) == 2
    assert "nothing is asked" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["keywords-and", "oracle", "foo"])
def test_only_a_model_can_be_asked(inbox, capsys, policy) -> None:
    assert main(["ask", "Who?", "--mailbox", str(inbox[0]), "--inbox", inbox[1], "--policy", policy]) == 2
    error = capsys.readouterr().err
    assert f"'{policy}' is no model" in error
    assert "--questions" not in error


def test_a_question_without_end_is_refused(inbox, monkeypatch, capsys) -> None:
    answering(monkeypatch, "fine")
    assert ask(inbox, "w " * 50_000) == 2
    assert "2,000 at most are taken" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-5", "nan", "inf", "soon"])
def test_a_time_limit_is_above_nothing(inbox, capsys, limit) -> None:
    assert ask(inbox, "Who?", "--deadline", limit) == 2
    assert "is no number of seconds above 0" in capsys.readouterr().err
