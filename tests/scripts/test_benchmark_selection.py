"""`bench`: a mode that does not suit the questions, and a report that covers less than the one before, are said."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from inbox_env.emails import Address, Email
from inbox_env.questions import Question, write_questions
from inbox_env.store import build_inbox
from scripts.cli import main

ANN, DAY = Address("Ann Lee", "ann@x.example"), date(2001, 5, 20)


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    falcon = Email("<2@x>", datetime(2001, 5, 2, tzinfo=UTC), ANN, (), "Falcon budget", "The budget is 40,000.")
    build_inbox(tmp_path / "my.db", "me", [falcon], owner=ANN)
    return tmp_path / "my.db"


def bench(mailbox: Path, questions: list[Question], *options: str) -> int:
    path = mailbox.with_name("q.jsonl")
    write_questions(path, questions)
    out = mailbox.with_name("out")
    return main(["bench", "--mailbox", str(mailbox), "--questions", str(path), "--out", str(out), *options])


def asked(name: str, answer_type: str = "") -> Question:
    return Question.model_validate({
        "id": name, "inbox": "me", "question": f"Falcon budget {name}?", "answer": "Falcon budget",
        "message_ids": ["<2@x>"], "asked_on": DAY, "answer_type": answer_type,
    })  # fmt: skip


def test_questions_that_only_a_mail_answers_are_not_graded_by_words_unsaid(
    mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [asked("a", "mail"), asked("b")]
    assert bench(mailbox, both, "--policy", "keywords-and", "--limit", "2") == 0
    assert "warning: 1 question of 2 " in (err := capsys.readouterr().err)
    assert "--mode find" in err
    assert bench(mailbox, both, "--policy", "keywords-and", "--mode", "find") == 0
    assert capsys.readouterr().err == ""
    nothing = Question(id="c", inbox="me", question="?", answerable=False, kind="unanswerable", asked_on=DAY)
    assert bench(mailbox, [both[0], nothing], "--policy", "keywords-and") == 2
    assert capsys.readouterr().err.endswith("q.jsonl - add --mode find\n")


def test_a_report_that_covers_less_than_the_one_it_replaces_says_so(
    mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = [asked(name) for name in "abc"]
    assert bench(mailbox, questions, "--policy", "keywords-and", "--policy", "oracle") == 0
    assert bench(mailbox, questions, "--policy", "keywords-and", "--policy", "oracle") == 0
    assert capsys.readouterr().err == "", "nothing is left out when it is run again"
    assert bench(mailbox, questions, "--policy", "keywords-and", "--limit", "2") == 0
    said = capsys.readouterr().err
    assert "no longer cover oracle; 3 questions but 2;" in said
    assert "the episodes stay" in said
    assert bench(mailbox, questions, "--policy", "keywords-and", "--policy", "oracle") == 0
    assert capsys.readouterr().err == "", "more than before replaces nothing"
