"""Repairing, forgetting and examining mailboxes: no mail is dropped silently and nothing forgotten stays unsaid."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from inbox_env.email_rows import to_row
from inbox_env.emails import Address, Attachment, Email
from inbox_env.errors import CorruptError, ExitCode
from inbox_env.store import EmailStore, build_inbox
from inbox_env.upkeep import doctor, forgetting, rebuilding
from inbox_env.upkeep.forgetting import forget
from inbox_env.upkeep.rebuilding import rebuild
from scripts.cli import main

ANN = Address("Ann", "ann@example.org")
ME = Address("Me", "me@example.org")
START = datetime(2001, 5, 1, tzinfo=UTC)
SET_STATE = "INSERT INTO sources SELECT id, 'imaps://me@host', 'f', 'state', 1 FROM inboxes WHERE name = 'me'"


def mail(number: int, body: str = "note") -> Email:
    return Email(f"<{number}@private.x>", START + timedelta(hours=number), ANN, (), f"Subject {number}", body)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def bodies(path: Path, inbox: str = "me") -> list[str]:
    store = EmailStore.open(path)
    try:
        return [stored.email.body for stored in store.emails(inbox)]
    finally:
        store.close()


def states(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT imap_state FROM sources").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "my.db"
    build_inbox(path, "me", [mail(n, f"words {n}") for n in range(1, 6)], owner=ANN)
    build_inbox(path, "other", [mail(n, f"others {n}") for n in range(8, 10)])
    return path


def test_a_rebuild_takes_all_mails_whatever_the_count_says(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(path, "UPDATE inboxes SET num_emails = 2 WHERE name = 'me'", SET_STATE)
    assert main(["doctor", str(path), "--rebuild"]) == 0
    assert "7 mails kept, 0 lost; the damaged file is my.db.damaged" in capsys.readouterr().out
    assert bodies(path) == [f"words {n}" for n in range(1, 6)]
    assert path.with_name("my.db.damaged").exists()
    assert states(path) == [("state",)]


def test_mails_of_no_inbox_are_put_into_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(path, "DELETE FROM inboxes WHERE name = 'me'")
    assert main(["doctor", str(path), "--rebuild"]) == 0
    assert "now in the inbox recovered" in capsys.readouterr().out
    assert bodies(path, "recovered") == [f"words {n}" for n in range(1, 6)]
    assert bodies(path, "other") == ["others 8", "others 9"]
    assert path.with_name("my.db.damaged").exists()


@pytest.mark.parametrize(("row_id", "lost"), [(7, 0), (5 * (1 << 24), 1), (-9, 1)])
def test_a_row_whose_number_is_nonsense_is_kept_or_counted_as_lost(path: Path, row_id: int, lost: int) -> None:
    change(path, f"UPDATE mails SET id = {row_id} WHERE message_id = '<5@private.x>'")
    result = rebuild(path)
    assert result.num_emails == 7 - lost
    assert result.num_lost >= lost
    assert result.damaged_path is not None


def test_a_lost_mail_is_named_and_its_server_is_asked_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(path, SET_STATE, "UPDATE mails SET envelope = 'x' WHERE message_id = '<3@private.x>'")
    change(path, "DELETE FROM mails WHERE message_id = '<5@private.x>'")
    assert main(["doctor", str(path), "--rebuild"]) == ExitCode.REJECTS
    shown = capsys.readouterr().out
    assert "lost: me 3: <3@private.x> Subject 3" in shown
    assert "lost: me 5: unknown id" in shown
    assert "5 mails kept, 2 lost" in shown
    assert states(path) == [(None,)]
    change(path, "UPDATE mails SET envelope = 'x' WHERE message_id = '<1@private.x>'")
    assert main(["doctor", str(path), "--rebuild", "--json"]) == ExitCode.REJECTS
    row = json.loads(capsys.readouterr().out)
    assert [lost["message_id"] for lost in row["lost"]] == ["<1@private.x>"]
    assert row["damaged_path"].endswith("my.db.damaged.2")  # the first one is kept


def test_text_that_is_no_utf8_is_mended(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(path, "UPDATE mails SET body = CAST(X'776f7264ff' AS TEXT) WHERE message_id = '<3@private.x>'")
    assert main(["doctor", str(path), "--rebuild", "--full"]) == 0
    assert "7 mails kept (1 mended), 0 lost; the damaged file is" in capsys.readouterr().out
    assert bodies(path)[2] == "word\ufffd"


def test_damaged_pages_cost_only_the_mails_on_them(tmp_path: Path) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "me", [mail(n, f"words {n} " * 100) for n in range(1, 400)])
    with closing(sqlite3.connect(path)) as connection:
        pages = connection.execute("SELECT pageno FROM dbstat WHERE name = 'mails' AND pagetype = 'leaf'").fetchall()
    data = bytearray(path.read_bytes())
    for (page,) in pages[3:6]:
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    result = rebuild(path)
    assert 0 < result.num_lost < 100
    assert result.num_lost + result.num_emails == 399
    assert len(bodies(path)) == result.num_emails


def test_what_a_killed_rebuild_left_is_removed_by_the_doctor_and_by_forget(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = rebuilding.Salvage.mails

    def left_by_a_killed_one() -> set[str]:
        process = os.fork()
        if process == 0:
            rebuilding.Salvage.mails = lambda self, inbox: die(original(self, inbox))  # type: ignore[method-assign]
            rebuild(path)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        return {found.name for found in path.parent.iterdir() if "rebuilt" in found.name}

    def die(mails: Any) -> Any:
        yield from mails
        os.kill(os.getpid(), signal.SIGKILL)

    assert any(name.startswith("my.db.rebuilt.partial-") for name in left_by_a_killed_one())
    assert any("my.db.rebuilt.partial-" in note for note in doctor.examine(path).notes)
    assert main(["doctor", str(path)]) == 0
    assert "removed what a killed command left: my.db.rebuilt.partial-" in capsys.readouterr().out
    assert {found.name for found in path.parent.iterdir()} <= {"my.db", "my.db.lock"}
    left_by_a_killed_one()
    forget(path, "me")
    assert {found.name for found in path.parent.iterdir()} == {"my.db"}


def test_a_file_that_a_rebuild_kept_is_named_by_the_doctor_and_by_forget(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(path, "UPDATE inboxes SET num_emails = 2 WHERE name = 'me'")
    main(["doctor", str(path), "--rebuild"])
    assert "a rebuild kept my.db.damaged" in capsys.readouterr().out
    assert main(["forget", "--mailbox", str(path), "--inbox", "me", "--yes"]) == ExitCode.REJECTS
    assert f"delete it yourself: {path}.damaged" in capsys.readouterr().out
    path.with_name("my.db.damaged").unlink()
    assert main(["forget", "--mailbox", str(path), "--inbox", "other", "--yes"]) == 0


def test_very_short_mails_leave_traces_too_and_nothing_to_look_for_is_said(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_inbox(path, "short", [Email("<short1@x>", START, ANN, (), "hi", "ok")])
    assert main(["forget", "--mailbox", str(path), "--inbox", "short", "--yes", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["num_traces"] > 0, row["found_before"], row["found_after"]) == (True, row["num_traces"], 0)
    build_inbox(path, "ten", [Email(f"<{n}>", START, ANN, (ME,), "hi", f"ok {n}") for n in range(10)])
    assert main(["forget", "--mailbox", str(path), "--inbox", "ten", "--yes", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["num_traces"] == row["found_before"] >= 10, "what lies around a short text in the file tells"
    assert (row["num_short"], row["num_unproved"], row["found_after"]) == (10, 0, 0)
    build_inbox(path, "tiny", [Email(f"<{n}>", START, Address("", ""), (), "hi", "ok") for n in range(2)])
    assert main(["forget", "--mailbox", str(path), "--inbox", "tiny", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "2 Message-IDs too short to be looked for without the mail; nothing in 2 mails was long enough" in out


def random_mail(number: int) -> Email:
    """A mail that shares nothing with any other."""
    one, two, three, four = (sha256(f"{number} {part}".encode()).hexdigest() for part in range(4))
    attached = Attachment("a.txt", "text/plain", 9, one * 5)
    return Email(f"<{one[:20]}@x>", START, ANN, (ME,), two[:20], three * 9, attachments=(attached,), aliases=(four,))


@pytest.mark.parametrize("number", [0, 137, 199])
@pytest.mark.parametrize(("what", "where"), [
    (0, "my.db"), (4, "my.db-journal"), (5, "my.db-wal"), (6, "my.db.whoosh/x/seg"), ("alias", "my.db"),
])  # fmt: skip
def test_what_remains_of_any_one_mail_is_found_wherever_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: int | str, where: str
) -> None:
    mails = [random_mail(n) for n in range(200)]
    build_inbox(path, "gone", mails)
    left = mails[number].aliases[0] if what == "alias" else to_row(mails[number])[what]
    write_anew = forgetting._write_anew

    def write_and_leave(connection: sqlite3.Connection, mailbox: Path) -> None:
        write_anew(connection, mailbox)
        place = path.parent / where
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab") as file:
            file.write(b"\0" * 13 + str(left).encode())

    monkeypatch.setattr(forgetting, "_write_anew", write_and_leave)
    with pytest.raises(CorruptError, match="traces of the inbox are still"):
        forget(path, "gone")


def test_what_remains_in_free_pages_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_inbox(path, "gone", [random_mail(n) for n in range(200)])

    def delete_carelessly(connection: sqlite3.Connection, inbox_id: int) -> None:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM mails WHERE inbox_id = ?", (inbox_id,))

    monkeypatch.setattr(forgetting, "_delete", delete_carelessly)
    monkeypatch.setattr(forgetting, "_write_anew", lambda *_: None)
    with pytest.raises(CorruptError, match="traces of the inbox are still"):
        forget(path, "gone")


def test_text_that_is_no_utf8_can_be_forgotten(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(path, "UPDATE mails SET body = CAST(X'736563726574ff' AS TEXT) WHERE message_id = '<3@private.x>'")
    assert main(["forget", "--mailbox", str(path), "--inbox", "me", "--yes"]) == 0
    assert b"secret" not in path.read_bytes()


def test_the_full_check_needs_no_right_to_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def read_only(database: Any, **options: Any) -> sqlite3.Connection:
        if database in (path, str(path)):
            return connect(f"file:{path}?mode=ro", **{**options, "uri": True})
        return connect(database, **options)

    before = sorted(found.name for found in path.parent.iterdir())
    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert doctor.examine(path, is_full=True).problems == ()
    assert sorted(found.name for found in path.parent.iterdir()) == before


def test_a_mailbox_beyond_mending_sends_nobody_in_a_circle(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(path, path.stat().st_size // 2)
    for words in (["doctor"], ["doctor", "--rebuild"]):
        assert main([*words, str(path)]) == ExitCode.CORRUPT
        err = capsys.readouterr().err
        assert "--rebuild" not in err
        assert "import the mail again" in err


def test_a_mailbox_that_may_not_be_read_is_not_called_damaged(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    for words in (["stats", "--mailbox"], ["doctor"], ["doctor", "--rebuild"]):
        assert main([*words, str(path)]) == ExitCode.USAGE
        assert "cannot be read - " + str(path) + " - check its permissions" in capsys.readouterr().err
