"""`play`: every turn is shown, the answer names its mails, a labelled question shows its reward."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from agent.policies.scripted import Script, ScriptedPolicy, answer, hit_numbers, perfect_reader, read, search
from inbox_env.actions import Opening
from inbox_env.emails import Address, Email
from inbox_env.errors import ExitCode
from inbox_env.questions import Question, write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic.mailbox import SyntheticRecipe
from inbox_env.trajectory import read_trajectories
from scripts.cli import main
from tests.agent.chat_server import call, completion, failing, serving


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    me, ann = Address("Me", "me@example.org"), Address("Ann Lee", "ann@example.org")
    mails = [
        Email("<1@x>", datetime(2001, 5, 1, tzinfo=UTC), ann, (me,), "Lunch", "Lunch on Friday?"),
        Email("<2@x>", datetime(2001, 5, 2, tzinfo=UTC), ann, (me,), "Falcon budget", "The Falcon budget is 40,000."),
    ]
    build_inbox(tmp_path / "my.db", "me", mails, owner=me)
    return tmp_path / "my.db"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    question = Question(
        id="q1", inbox="me", question="How large is the Falcon budget?", answer="40,000", message_ids=("<2@x>",)
    )
    write_questions(tmp_path / "q.jsonl", [question])
    return tmp_path / "q.jsonl"


def open_first_hit(opening: Opening, random: Random) -> Script:
    """Search the last name of the question, cite the first hit: a script that needs no labels and no reader."""
    name = re.findall(r"[A-Z]\w+", opening.question)[-1]
    numbers = hit_numbers((yield search(name)))
    if numbers:
        yield read(numbers[0])
        yield answer("see the mail", numbers[:1])
    yield answer(None)


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `play` a policy that plays unlabelled questions too."""
    policy = ScriptedPolicy("scripted", open_first_hit, perfect_reader({}))
    monkeypatch.setattr("scripts.play.load_policy", lambda spec, gold: policy)


def play(mailbox: Path, *options: str) -> int:
    return main(
        ["play", "--terminal", "--mailbox", str(mailbox), "--inbox", "me", "--policy", "keywords-retry", *options]
    )


def test_an_asked_question_shows_every_turn(
    mailbox: Path, unprivileged: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(mailbox, "--question", "How large is the Falcon budget?") == 0
    out = capsys.readouterr().out
    assert ' 1  searched "Falcon"  1 found' in out
    assert "2 2001-05-02 Ann Lee: Falcon budget" in out
    assert " 2  opened mail 2" in out
    assert "mail 2: 2001-05-02 Ann Lee: Falcon budget\n            “The Falcon budget is 40,000.”" in out
    assert "reward" not in out


def test_each_turn_is_shown_before_the_next_begins(
    mailbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def look_and_play(opening: Opening, random: Random) -> Script:
        yield search("Falcon")
        seen.append(capsys.readouterr().out)
        yield read(2)
        seen.append(capsys.readouterr().out)
        yield answer("x", [2])

    policy = ScriptedPolicy("scripted", look_and_play, perfect_reader({}))
    monkeypatch.setattr("scripts.play.load_policy", lambda spec, gold: policy)
    assert play(mailbox, "--question", "How large?") == 0
    assert "question  How large?" in seen[0]
    assert seen[0].rstrip().endswith("2 2001-05-02 Ann Lee: Falcon budget")
    assert seen[1].startswith(" 2  opened mail 2")
    assert "answer    x" in capsys.readouterr().out


def test_a_labelled_question_shows_its_reward_and_is_saved(
    mailbox: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "t.jsonl"
    assert play(mailbox, "--questions", str(questions), "--mode", "find", "--save", str(saved)) == 0
    out = capsys.readouterr().out
    assert "gold      40,000" in out
    assert "reward    +1." in out
    (trajectory,) = read_trajectories(saved)
    assert trajectory.question_id == "q1"
    assert trajectory.reward is not None
    assert trajectory.reward > 1


def test_typed_questions_are_played_until_an_empty_line(
    mailbox: Path, unprivileged: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Where is Falcon?\nWhat of the Lunch?\n\nnever asked\n"))
    assert play(mailbox) == 0
    out = capsys.readouterr().out
    assert "Where is Falcon?" in out
    assert "What of the Lunch?" in out
    assert "never asked" not in out


def test_later_mail_is_invisible(mailbox: Path, unprivileged: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(mailbox, "--question", "How large is the Falcon budget?", "--as-of", "2001-05-01") == 0
    out = capsys.readouterr().out
    assert "I don't know" in out
    assert "40,000" not in out


def test_without_a_mailbox_an_invented_inbox_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.play.CACHE", tmp_path)
    monkeypatch.setattr("scripts.play.INVENTED", SyntheticRecipe("dev", (1,), num_emails=100, num_questions=20))
    assert main(["play", "--terminal", "--policy", "oracle"]) == 0
    out = capsys.readouterr().out
    assert out.count("question  ") == out.count("reward    ") == 5
    assert main(["play", "--terminal", "--policy", "oracle", "--mailbox", "my.db"]) == 2


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--id", "q1"], "no question q1 about inbox me - name the file"),
        (["--questions", "none.jsonl"], "no such question file"),
        (["--question", "x", "--policy", "no-such-policy"], "no-such-policy"),
        (["--question", "x", "--inbox", "you"], "no inbox 'you'"),
    ],
)
def test_wrong_use_gets_one_line(
    mailbox: Path, capsys: pytest.CaptureFixture[str], options: list[str], shown: str
) -> None:
    assert play(mailbox, *options) == 2
    err = capsys.readouterr().err
    assert shown in err
    assert err.count("\n") == 1


def test_an_unknown_id_is_refused(mailbox: Path, questions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(mailbox, "--questions", str(questions), "--id", "q9") == 2
    assert "no question q9 about inbox me" in capsys.readouterr().err


def test_an_episode_that_the_api_lost_is_shown_and_is_exit_code_6(
    mailbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(completion(call("search_emails", {"keywords": ["Falcon"]})), failing(400)) as server:
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        options = ["--mailbox", str(mailbox), "--inbox", "me", "--policy", "api:openai/m"]
        assert main(["play", *options, "--question", "How large is the Falcon budget?"]) == ExitCode.UPSTREAM
    shown = capsys.readouterr()
    assert "7 tokens" in shown.out
    assert "no answer: api: BadRequestError (400)" in shown.out
    assert shown.err == ""


def test_where_episodes_cannot_be_saved_is_said_before_one_is_played(mailbox, questions, tmp_path, capsys) -> None:
    words = ["play", "--mailbox", str(mailbox), "--inbox", "me", "--questions", str(questions), "--policy", "oracle"]
    assert main([*words, "--id", "q1", "--save", str(tmp_path / "absent" / "x.jsonl")]) == ExitCode.USAGE
    streams = capsys.readouterr()
    assert "no file can be written here" in streams.err
    assert streams.out == ""


def test_questions_about_another_mailbox_are_refused_by_the_page(mailbox, tmp_path, capsys) -> None:
    write_questions(
        tmp_path / "else.jsonl", [Question(id="q", inbox="you", question="Who?", kind="unanswerable", answerable=False)]
    )
    words = ["play", "--mailbox", str(mailbox), "--questions", str(tmp_path / "else.jsonl"), "--no-browser"]
    assert main([*words, "--port", "0"]) == ExitCode.USAGE
    assert "no mail for questions about: you" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "99999", "http"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--no-browser", "--port", port]) == ExitCode.USAGE
    assert f"'{port}' is no port: a number from 0 to 65535" in capsys.readouterr().err
