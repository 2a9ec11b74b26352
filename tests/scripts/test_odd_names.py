"""Names of inboxes and paths that are no text are one line of complaint, or work."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox_env.emails import Address, Email
from inbox_env.store import EmailStore, build_inbox
from scripts.cli import main

ANN = Address("Ann Lee", "ann@example.org")
MESSAGE = b"From: ann@x.org\nTo: bob@y.org\nMessage-ID: <1@x>\nDate: Mon, 20 Nov 2000 06:27:00 GMT\n\nhello\n"


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "one.eml"
    path.write_bytes(MESSAGE)
    return path


@pytest.mark.parametrize("command", ["import", "inboxes", "stats", "forget", "search", "read", "play"])
@pytest.mark.parametrize("name", ["in\udcffbox", "a\nb", "a\x1b[2J", "\u202eme", "", "  ", "x" * 201])
def test_a_name_that_cannot_be_printed_is_refused_by_every_command(
    message: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    more = {"import": [str(message)], "read": ["1"], "play": ["--terminal", "--policy", "oracle"]}.get(command, [])
    assert main([command, "--mailbox", str(message.with_name("my.db")), "--inbox", name, *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error[E-USE-96]: not a name for an inbox")
    assert err.count("\n") == 1
    assert list(message.parent.iterdir()) == [message]


def test_one_name_is_one_inbox_however_it_is_composed(message: Path) -> None:
    mailbox = message.with_name("my.db")
    for name in ("Jos\u00e9 \u5c71", "Jose\u0301 \u5c71"):
        assert main(["import", str(message), "--mailbox", str(mailbox), "--inbox", name]) == 0
        assert main(["search", "--mailbox", str(mailbox), "--inbox", name, "hello"]) == 0
    assert [info.name for info in EmailStore.open(mailbox).inboxes()] == ["Jos\u00e9 \u5c71"]


def test_a_mailbox_whose_path_is_no_text_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, odd = tmp_path / "my.db", tmp_path / os.fsdecode(b"m\xffx.db")
    sent = datetime(2001, 5, 1, 12, tzinfo=UTC)
    build_inbox(plain, "me", [Email("<1@x>", sent, ANN, (ANN,), "Hello", "hello")], owner=ANN)
    plain.rename(odd)
    for command, *more in (["search", "hello"], ["read", "1"], ["stats"], ["inboxes"]):
        assert main([command, "--mailbox", str(odd), "--inbox", "me", *more]) == 0
    assert main(["doctor", str(odd), "--full"]) == 0
    assert capsys.readouterr().err == "1-1 of 1\n"


@pytest.mark.parametrize("name", [b"m\xffx.db", b"folder\xff/x.db"])
def test_an_import_beside_a_path_that_is_no_text_works_or_says_so(
    message: Path, capsys: pytest.CaptureFixture[str], name: bytes
) -> None:
    mailbox = message.parent / os.fsdecode(name)
    mailbox.parent.mkdir(exist_ok=True)
    code = main(["import", str(message), "--mailbox", str(mailbox), "--inbox", "me"])
    assert code in (0, 2)
    assert capsys.readouterr().err.count("\n") == (code != 0)
    assert mailbox.exists() == (code == 0)


def test_a_nul_in_an_argument_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--mailbox", "my\0.db", "--inbox", "me", "hello"]) == 2
    assert capsys.readouterr().err.startswith("error[E-USE-97]: a NUL character in an argument")


@pytest.mark.parametrize("address", ["pop3://ann:secret@host", "https://mail.example.org/inbox"])
def test_only_imap_servers_are_supported_and_no_password_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert main(["import", address, "--mailbox", str(tmp_path / "my.db"), "--inbox", "me"]) == 2
    err = capsys.readouterr().err
    assert f"no mail is read from {address.partition(':')[0]}:// - of mail servers only imaps://" in err
    assert "secret" not in err


def test_a_file_that_is_no_mailbox_is_not_to_be_imported_into(
    message: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = message.with_name("notes.txt")
    notes.write_text("notes\n")
    assert main(["import", str(message), "--mailbox", str(notes), "--inbox", "me"]) == 4
    assert "notes.txt - name another file" in capsys.readouterr().err
    assert notes.read_text() == "notes\n"
