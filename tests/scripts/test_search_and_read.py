"""`search` says how many there are and what is impossible; `read` shows attachments and says what is later."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from inbox_env.emails import Address, Attachment, Email
from inbox_env.search.base import SearchHit
from inbox_env.store import build_inbox
from scripts.cli import main
from scripts.mail_view import hit_table

ANN = Address("Ann Lee", "ann@example.org")
FIRST_DAY = datetime(2001, 5, 1, 12, tzinfo=UTC)


def mail(number: int) -> Email:
    sent = FIRST_DAY + timedelta(days=number)
    return Email(f"<m{number}@example.org>", sent, ANN, (ANN,), f"Note {number}", f"common word{number}")


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mail") / "my.db"
    mails = [mail(number) for number in range(1_011)]
    attached = (
        Attachment("plan\x1b[2J.txt", "text/plain", 40, "the attached zebra\x1b]0;x\x07"),
        Attachment("b", "x/y", 1),
    )
    mails[3] = replace(mails[3], attachments=attached, folders=("Inbox", "Work"))
    mails[4] = replace(mails[4], date=None)
    build_inbox(path, "me", mails, owner=ANN)
    return path


def run(mailbox: Path, command: str, *options: str) -> int:
    return main([command, "--mailbox", str(mailbox), "--inbox", "me", *options])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["common"], "1-10 of 1,011 (--page 2 for more)"),
        (["common", "--page", "101"], "1,001-1,010 of 1,011 (--page 102 for more)"),
        (["common", "--page", "102"], "1,011-1,011 of 1,011"),
        (["common", "--page", "103"], "page 103 is beyond the last: 1,011 found on 102 pages"),
        (["word7", "--page", "2"], "page 2 is beyond the last: 1 found on 1 page"),
        (["word7"], "1-1 of 1"),
        ([], "1-10 of 1,011 (--page 2 for more)"),
        (["absent"], "nothing found"),
        (["common", "word7", "word8"], "nothing found; each keyword alone: common 1,011, word7 1, word8 1"),
    ],
)
def test_search_says_how_many_there_are_beside_the_hits(
    mailbox: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run(mailbox, "search", *options) == 0
    shown = capsys.readouterr()
    assert shown.err == said + "\n"
    assert all(line.count("\t") == 4 for line in shown.out.splitlines())
    assert run(mailbox, "search", "--json", *options) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["common", "!?"], "no letter or digit in the keyword '!?'"),
        ([""], "no letter or digit in the keyword ''"),
        (["--from", "@"], "no letter or digit in the --from '@'"),
        (["--after", "2001-06-02", "--before", "2001-06-01"], "--after 2001-06-02 is later than --before 2001-06-01"),
        (["--after", "2001-06-02", "--as-of", "2001-06-01"], "--after 2001-06-02 is later than --as-of 2001-06-01"),
        (["--page", "9" * 30], "no page 9999"),
    ],
)
def test_what_no_mail_can_match_is_refused(
    mailbox: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run(mailbox, "search", *options) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_search_of_one_day_is_possible(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mailbox, "search", "--after", "2001-05-03", "--before", "2001-05-03", "--as-of", "2001-05-03") == 0
    assert capsys.readouterr().err == "1-1 of 1\n"


def test_read_shows_what_search_found_in_an_attachment(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mailbox, "search", "zebra") == 0
    number = capsys.readouterr().out.split("\t")[0]
    assert run(mailbox, "read", number) == 0
    out = capsys.readouterr().out
    assert out.endswith("common word3\n\n[attachment plan.txt]\nthe attached zebra\n")
    assert "folders  Inbox, Work" in out
    assert "plan.txt (text/plain, 40 bytes), b (x/y, 1 byte)" in out
    assert run(mailbox, "read", number, "--json") == 0
    attached = json.loads(capsys.readouterr().out)["attachments"]
    assert [sorted(part) for part in attached] == [["content_type", "name", "size", "text"]] * 2
    assert "zebra" in attached[0]["text"]


def test_read_takes_a_message_id_without_its_brackets(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mailbox, "read", "<m6@example.org>") == 0
    with_brackets = capsys.readouterr().out
    assert run(mailbox, "read", "m6@example.org") == 0
    assert capsys.readouterr().out == with_brackets


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("m6@example.org", "mail m6@example.org is of 2001-05-07, later than 2001-05-06"),
        ("7", "mail 7 is of 2001-05-07, later than 2001-05-06"),
        ("1", "mail 1 has no date"),
        ("5000", "no mail 5000 - inbox me - numbers run from 1 to 1011"),
    ],
)
def test_read_says_that_a_mail_is_later_than_the_day(
    mailbox: Path, capsys: pytest.CaptureFixture[str], ref: str, said: str
) -> None:
    assert run(mailbox, "read", ref, "--as-of", "2001-05-06") == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("width", [40, 80, 140])
def test_numbers_and_dates_of_hits_stay_whole_however_narrow_the_terminal(width: int) -> None:
    sent = datetime(2001, 5, 3, tzinfo=UTC)
    long = "Gas Weather Outlook for the coming week " * 8
    hits = [SearchHit(number, "<a@b>", sent, "Christopher Calger of Portland", long, long) for number in (7, 12_345)]
    out = io.StringIO()
    Console(file=out, width=width).print(hit_table(hits, width))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[2].startswith("12345  2001-05-03  Chr")
    assert "Gas" in lines[2]
