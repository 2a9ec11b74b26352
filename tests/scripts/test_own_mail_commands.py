"""`stats`, `forget`, `doctor` and `inboxes --set-owner` on small mailboxes, sound, old and damaged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from inbox_env.emails import Address, Attachment, Email
from inbox_env.importing.building import whoosh_directories
from inbox_env.importing.import_mail import import_mail
from inbox_env.inbox import Inbox
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore, build_inbox
from scripts.cli import main

ME = Address("Me Myself", "me@example.org")
ANN = Address("Ann Lee", "ann@example.org")


def mail(number: int, sender: Address = ANN, to: Address = ME, body: str = "") -> Email:
    sent = datetime(2001, 5, 1 + number % 28, 12, number % 60, tzinfo=UTC)
    text = body or f"secretword{number} " + " ".join(f"w{number * k % 997}" for k in range(60))
    return Email(f"<{number}@private.example>", sent, sender, (to,), f"Confidential matter {number}", text)


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "my.db"
    mails = [mail(n) for n in range(50)]
    mails[3] = replace(mails[3], sender=ME, to=(ANN,), in_reply_to="<2@private.example>", folders=("sent",))
    mails[4] = replace(mails[4], attachments=(Attachment("a.pdf", "application/pdf", 2_000_000),), folders=("inbox",))
    mails[5] = replace(mails[5], date=None, aliases=("<copy@private.example>",))
    build_inbox(path, "me", mails, owner=ME)
    build_inbox(path, "other", [mail(900, body="the shared budget line of everybody here")], owner=ANN)
    return path


def read_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(capsys.readouterr().out)
    return row


LINE = "From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"


def write_box(path: Path, *numbers: int) -> Path:
    texts = (f"{LINE}From: ann@x.org\nMessage-ID: <{n}@x>\nSubject: s{n}\n\nbody {n}\n\n" for n in numbers)
    path.write_text("".join(texts))
    return path


def folded(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int | None, str]:
    capsys.readouterr()
    assert main(["stats", "--mailbox", str(mailbox), "--json"]) == 0
    num_copies = read_json(capsys)["num_copies"]
    assert main(["stats", "--mailbox", str(mailbox)]) == 0
    return num_copies, next(line for line in capsys.readouterr().out.splitlines() if line.startswith("copies"))[10:]


def test_stats_tell_the_copies_that_imports_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, mailbox = write_box(tmp_path / "a.mbox", *range(10), *range(5)), tmp_path / "copies.db"
    assert import_mail([first], mailbox, "me").duplicates == 5
    assert folded(mailbox, capsys) == (5, "5 folded into other mails")
    assert import_mail([first], mailbox, "me").duplicates == 15, "all of it is there"
    assert folded(mailbox, capsys) == (5, "5 folded into other mails"), "imported again it holds no more"
    import_mail([write_box(tmp_path / "b.mbox", 3, 4, 20)], mailbox, "me")
    assert folded(mailbox, capsys) == (7, "7 folded into other mails")
    assert main(["doctor", str(mailbox), "--rebuild"]) == 0
    assert folded(mailbox, capsys) == (7, "7 folded into other mails")
    to_version_3(mailbox)
    assert main(["doctor", str(mailbox)]) == 0
    assert folded(mailbox, capsys) == (None, "0 further Message-IDs, of copies folded into a mail")
    import_mail([first, tmp_path / "b.mbox"], mailbox, "me")
    assert folded(mailbox, capsys) == (7, "7 folded into other mails"), "known again"


def test_stats_say_what_an_inbox_holds(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--mailbox", str(mailbox), "--inbox", "me", "--json"]) == 0
    row = read_json(capsys)
    assert (row["num_emails"], row["num_undated"], row["num_threads"], row["num_folded_ids"]) == (50, 1, 49, 1)
    assert (row["num_attachments"], row["attachment_bytes"]) == (1, 2_000_000)
    assert row["top_senders"] == [["ann@example.org", 49], ["me@example.org", 1]]
    assert row["top_correspondents"] == [["ann@example.org", 50]]
    assert row["top_folders"] == [["inbox", 1], ["sent", 1]]
    assert row["index_bytes"] > 1_000
    assert main(["stats", "--mailbox", str(mailbox)]) == 0
    out = capsys.readouterr().out
    assert "50 in 49 threads; 1 undated" in out
    assert "copies    1 further Message-ID, of copies folded into a mail\nattached  1 file, 2.0 MB in the mail" in out
    assert "my.db: 2 inboxes, " in out


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mails SET envelope = 'x' WHERE id % 16777216 = 9",
        "UPDATE mails SET envelope = '[]' WHERE id % 16777216 = 9",
        'UPDATE mails SET envelope = \'{"to": [{"name": 1}]}\' WHERE id % 16777216 = 9',
        'UPDATE mails SET envelope = \'{"attachments": [{"size": null}]}\' WHERE id % 16777216 = 9',
        "UPDATE mails SET envelope = '{\"folders\": [[]]}' WHERE id % 16777216 = 9",
        "UPDATE mails SET sender_email = x'ff' WHERE id % 16777216 = 9",
        "UPDATE inboxes SET num_emails = 'many'",
    ],
)
def test_f30_stats_and_search_of_damaged_mails_say_so(
    mailbox: Path, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    with closing(sqlite3.connect(mailbox)) as connection, connection:
        connection.execute(statement)
    assert main(["stats", "--mailbox", str(mailbox)]) == 4
    assert main(["search", "--mailbox", str(mailbox), "--inbox", "me"]) in (0, 4)
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert all("damaged" in line for line in err)
    assert "mailsleuth doctor" in err[0] or "list of inboxes" in err[0]


@pytest.mark.parametrize("columns", ["sent_us = 'x'", "sent_us = 9223372036854775807", "sender_name = 5, body = 7"])
def test_f30_search_of_a_damaged_mail_says_so(mailbox: Path, capsys: pytest.CaptureFixture[str], columns: str) -> None:
    with closing(sqlite3.connect(mailbox)) as connection, connection:
        connection.execute(f"UPDATE mails SET {columns} WHERE id % 16777216 = 9")
    assert main(["search", "--mailbox", str(mailbox), "--inbox", "me", "matter", "8"]) in (0, 4)
    assert "E-BUG" not in capsys.readouterr().err


def test_the_owner_is_set_by_hand(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["inboxes", "--mailbox", str(mailbox)]
    assert main([*where, "--inbox", "me", "--set-owner", "Cy <cy@y.org>", "--json"]) == 0
    assert read_json(capsys)["owner"] == "Cy <cy@y.org>"
    assert main([*where, "--set-owner", "Cy <cy@y.org>"]) == 2
    for nonsense in ("nonsense", ""):
        assert main([*where, "--inbox", "me", "--set-owner", nonsense]) == 2
    assert capsys.readouterr().err.count("--set-owner is not one address") == 2
    assert main([*where, "--inbox", "nobody", "--set-owner", "Cy <cy@y.org>"]) == 2
    assert "no inbox 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("index", ["fts5", "whoosh"])
def test_nothing_of_a_forgotten_inbox_remains_in_any_file(
    mailbox: Path, capsys: pytest.CaptureFixture[str], index: Any
) -> None:
    build_inbox(mailbox, "gone", [mail(n) for n in range(100, 300)], owner=ME, index=index)
    rejects = mailbox.with_name("my.db.rejects.jsonl")
    rejects.write_text('{"inbox": "gone", "path": "secretword177"}\n{"inbox": "me", "path": "x"}\n')
    assert b"secretword177" in mailbox.read_bytes()
    assert main(["forget", "--mailbox", str(mailbox), "--inbox", "gone", "--yes", "--json"]) == 0
    row = read_json(capsys)
    assert (row["num_emails"], row["found_after"]) == (200, 0)
    assert row["found_before"] > row["num_traces"] * 0.9 > 50
    for path in mailbox.parent.rglob("*"):
        if path.is_file():
            assert b"secretword177" not in path.read_bytes(), path
            assert b"<177@private" not in path.read_bytes(), path
    assert not whoosh_directories(mailbox, "gone")
    assert [info.name for info in EmailStore.open(mailbox).inboxes()] == ["me", "other"]
    assert main(["doctor", str(mailbox), "--full"]) == 0


def test_what_another_inbox_holds_too_is_no_trace(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_inbox(mailbox, "twin", [mail(n) for n in range(50)], owner=ME)
    assert main(["forget", "--mailbox", str(mailbox), "--inbox", "twin", "--yes"]) == 0
    assert "forgot twin: 50 mails; 0 of" in capsys.readouterr().out


def test_forget_asks_first(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = mailbox.read_bytes()
    assert main(["forget", "--mailbox", str(mailbox), "--inbox", "me"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert mailbox.read_bytes() == before


def test_a_whole_mailbox_is_whole_and_an_unfinished_import_is_named(
    mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_inbox(mailbox, "slow", [mail(n) for n in range(20)], owner=ME, index="whoosh")
    mailbox.with_name("my.db.partial-0123abcd").mkdir()
    before = mailbox.read_bytes()
    for options in ([], ["--full"]):
        assert main(["doctor", "--mailbox", str(mailbox), *options]) == 0
        out = capsys.readouterr().out
        found = "whole: " if options else "no damage found by the quick check (--full reads every mail): "
        assert f"{found}71 mails in 3 inboxes" in out
        assert "unfinished import lies in my.db.partial-0123abcd" in out
    assert mailbox.read_bytes() == before


DAMAGE: dict[str, tuple[str, str]] = {
    "DELETE FROM mails WHERE id % 16777216 = 7": ("me: 49 mails are there, 50 should be", ""),
    "DROP TABLE search_1": ("the search index is missing", ""),
    "DELETE FROM search_1_docsize WHERE id = 9": ("the search index is of other mails", ""),
    "UPDATE search_1_data SET block = zeroblob(length(block)) WHERE id > 1000": ("search index", "--full"),
    "UPDATE mails SET envelope = 'x' WHERE id % 16777216 = 9": ("1 mails cannot be decoded", "--full"),
    "UPDATE mails SET sent_us = 5 WHERE id % 16777216 = 30": ("not in the order of their dates", "--full"),
    "UPDATE mails SET thread = NULL WHERE id % 16777216 = 30": ("1 mails are in no thread", "--full"),
    "UPDATE aliases SET mail_id = 5": ("point to mails that are not there", ""),
    "DELETE FROM inboxes WHERE name = 'other'": ("1 mails of no inbox", ""),
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_f30_the_doctor_finds_what_is_wrong_and_rebuilds(
    mailbox: Path, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    with closing(sqlite3.connect(mailbox)) as connection, connection:
        connection.execute(statement)
    found, option = DAMAGE[statement]
    assert main(["doctor", str(mailbox), *([option] if option else [])]) == 4
    shown = capsys.readouterr()
    assert found in shown.out
    assert f"mailsleuth doctor --rebuild {mailbox}"[:60] in shown.err
    assert shown.err.count("\n") == 1
    lost = {"DELETE FROM mails WHERE id % 16777216 = 7", "UPDATE mails SET envelope = 'x' WHERE id % 16777216 = 9"}
    assert main(["doctor", str(mailbox), "--rebuild", "--full"]) == (3 if statement in lost else 0)
    is_odd = statement in lost or statement.startswith("DELETE FROM inboxes")
    assert mailbox.with_name("my.db.damaged").exists() == is_odd
    assert Inbox.open(mailbox, "me").search(SearchQuery(("secretword20",)), as_of=None).num_matches == 1


def test_f30_random_damage_is_found_or_harmless_and_never_a_traceback(
    mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, random, codes = mailbox.read_bytes(), Random(3), []
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(64):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        mailbox.write_bytes(damaged)
        codes.append(main(["doctor", str(mailbox), "--full"]))
        assert capsys.readouterr().err.count("\n") == (codes[-1] != 0)
        assert main(["doctor", str(mailbox), "--rebuild"]) in (0, 3, 4)
        capsys.readouterr()
    assert set(codes) <= {0, 4}
    assert codes.count(4) > 20


def test_f30_a_mailbox_that_is_none_or_newer_is_refused(mailbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(mailbox)) as connection, connection:
        connection.execute("UPDATE mailsleuth_schema SET version = 99")
    assert main(["doctor", str(mailbox)]) == 4
    mailbox.write_bytes(b"no database " * 1_000)
    assert main(["doctor", str(mailbox)]) == 4
    assert main(["doctor", str(mailbox.with_name("absent.db"))]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def to_version_2(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (
            "DROP INDEX mails_by_thread",
            "ALTER TABLE mails DROP COLUMN thread",
            "ALTER TABLE inboxes DROP COLUMN revision",
            "DROP TABLE sources",
            "UPDATE mailsleuth_schema SET version = 2",
        ):
            connection.execute(statement)


def to_version_3(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE sources DROP COLUMN num_mails")
        connection.execute("UPDATE mailsleuth_schema SET version = 3")


@pytest.mark.parametrize("older", [to_version_2, to_version_3])
@pytest.mark.parametrize("migrate", ["doctor", "write"])
def test_a_mailbox_of_a_version_before_is_brought_up_to_date(
    mailbox: Path, capsys: pytest.CaptureFixture[str], migrate: str, older: Callable[[Path], None]
) -> None:
    def content() -> list[Any]:
        store = EmailStore.open(mailbox)
        try:
            return [(stored, store.thread("me", stored.number, None)) for stored in store.emails("me")]
        finally:
            store.close()

    expected = content()
    older(mailbox)
    assert main(["inboxes", "--mailbox", str(mailbox)]) == 2
    assert "mailsleuth doctor --mailbox" in capsys.readouterr().err
    if migrate == "doctor":
        assert main(["doctor", str(mailbox), "--full"]) == 0
        assert "brought up to date" in capsys.readouterr().out
    else:
        build_inbox(mailbox, "new", [mail(700)])
    assert content() == expected
    assert len([thread for _, thread in expected if len(thread) == 2]) == 2
