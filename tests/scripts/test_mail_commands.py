"""`inboxes`, `search` and `read` on a small real mailbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox_env.emails import Address, Email
from inbox_env.store import build_inbox
from scripts.cli import main

ME = Address("Me Myself", "me@example.org")
ANN = Address("Ann Lee", "ann@example.org")


def mail(number: int, subject: str, body: str, day: int) -> Email:
    sent = datetime(2001, 5, day, 12, tzinfo=UTC)
    return Email(message_id=f"<{number}@x>", date=sent, sender=ANN, to=(ME,), subject=subject, body=body)


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    path = tmp_path / "my.db"
    mails = [
        mail(1, "Budget", "The budget for 2001 is 40,000 dollars.", 1),
        mail(2, "Lunch", "Lunch on Friday?", 2),
        mail(3, "Budget again", "The budget moved.", 3),
        mail(4, "\x1b]52;c;ZXZpbA==\x07[bold]owned\x1b[2J", "trap\x1b[31m and \u202egpj.exe", 4),
    ]
    build_inbox(path, "me", mails, owner=ME)
    build_inbox(path, "other", [mail(9, "Secret", "the secret budget", 9)], owner=ANN)
    return path


def run(mailbox: Path, command: str, *options: str) -> int:
    inbox = [] if command == "inboxes" else ["--inbox", "me"]
    return main([command, "--mailbox", str(mailbox), *inbox, *options])


def test_inboxes_are_listed(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mailbox, "inboxes") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("\t") == ["me", "4", "2001-05-01", "2001-05-04", "Me Myself <me@example.org>"]
    assert second.startswith("other\t1")
    assert run(mailbox, "inboxes", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["num_emails"] == 4


def test_search_finds_mails_with_all_words_in_this_inbox_only(
    mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(mailbox, "search", "budget", "2001") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[:4] == ["1", "2001-05-01", "Ann Lee", "Budget"]
    assert run(mailbox, "search", "secret", "--json") == 0
    assert json.loads(capsys.readouterr().out)["num_matches"] == 0


def test_search_narrows_by_day_order_and_page(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def numbers(*options: str) -> list[int]:
        assert run(mailbox, "search", "--json", *options) == 0
        return [hit["number"] for hit in json.loads(capsys.readouterr().out)["hits"]]

    assert numbers("budget", "--newest") == [3, 1]
    assert numbers("--after", "2001-05-02", "--before", "2001-05-03") == [3, 2]
    assert numbers("--as-of", "2001-05-02") == [2, 1]
    assert numbers("budget", "--page", "2") == []
    assert numbers("budget", "--from", "ann@example.org") != []
    assert numbers("budget", "--to", "ann@example.org") == []


def test_read_prints_a_mail_by_number_or_message_id(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mailbox, "read", "1") == 0
    by_number = capsys.readouterr().out
    assert "40,000 dollars" in by_number
    assert "2001-05-01 12:00 UTC" in by_number
    assert run(mailbox, "read", "<1@x>") == 0
    assert capsys.readouterr().out == by_number
    assert run(mailbox, "read", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["message_id"] == "<1@x>"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_hostile_mail_is_shown_and_never_obeyed(
    mailbox: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
    assert run(mailbox, "search", "trap") == 0
    assert run(mailbox, "read", "4") == 0
    out = capsys.readouterr().out
    assert "[bold]owned" in out
    for attack in ("\x1b]", "\x1b[2J", "\x1b[31m", "\x07", "\u202e"):
        assert attack not in out


def test_a_terminal_gets_a_table_and_word_counts(
    mailbox: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert run(mailbox, "search", "budget") == 0
    assert "1-2 of 2" in capsys.readouterr().out
    assert run(mailbox, "search", "budget", "lunch") == 0
    assert "nothing found; each keyword alone: budget 2, lunch 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["read", "99"], 2, "no mail 99 - inbox me - numbers run from 1 to 4"),
        (["read", "9" * 5000], 2, "no mail 9"),
        (["read", "<9@x>"], 2, "no mail <9@x>"),
        (["read", "4", "--as-of", "2001-05-03"], 2, "mail 4 is of 2001-05-04, later than 2001-05-03"),
        (["search", "--after", "soon"], 2, "is no day like 2001-05-31"),
        (["search", "--page", "0"], 2, "pages count from 1"),
        (["search", *["word"] * 17], 2, "at most 16 keywords"),
    ],
)
def test_wrong_use_gets_one_line(
    mailbox: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, shown: str
) -> None:
    assert run(mailbox, *arguments) == code
    err = capsys.readouterr().err
    assert shown in err
    assert err.count("\n") == 1


def test_a_missing_or_foreign_file_and_an_unknown_inbox_get_one_line(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.db").write_text("not a database")
    assert run(tmp_path / "none.db", "inboxes") == 2
    assert run(tmp_path / "text.db", "inboxes") == 4
    assert main(["read", "1", "--mailbox", str(mailbox), "--inbox", "you"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 3
    assert "no inbox 'you'" in err
