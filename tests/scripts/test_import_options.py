"""The options of the import command, mail left out on purpose, and mail servers that are read bit by bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inbox_env.emails import Email
from inbox_env.errors import ExitCode
from inbox_env.importing import reading
from inbox_env.importing.import_mail import import_mail
from inbox_env.ingest import imap
from inbox_env.ingest.imap_place import PASSWORD_VARIABLE
from inbox_env.store import EmailStore
from scripts.cli import main
from tests.inbox_env.imap_server import PASSWORD, USER, Box, ImapServer
from tests.inbox_env.imap_server import message as server_message

ATTACHED = (
    'Content-Type: multipart/mixed; boundary="b"\n', "--b\n\nsee attached\n--b\nContent-Type: text/plain\n"
    'Content-Disposition: attachment; filename="plan.txt"\n\nthe attached zebra\n--b--',
)  # fmt: skip
LINE = "From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"


def message(number: int, extra: str = "", body: str = "") -> str:
    head = f"From: ann@x.org\nTo: bob@y.org\nSubject: s{number}\nMessage-ID: <{number}@x.org>\n{extra}"
    return f"{head}Date: Mon, 20 Nov 2000 06:27:{number:02} GMT\n\n{body or f'body {number}'}\n"


def write_box(path: Path, *messages: str) -> Path:
    path.write_text("".join(f"{LINE}{text}\n" for text in messages))
    return path


def emails(mailbox: Path) -> list[Email]:
    store = EmailStore.open(mailbox)
    try:
        return [stored.email for stored in store.emails("me")]
    finally:
        store.close()


def run(tmp_path: Path, source: object, *options: str, code: int = 0) -> list[str]:
    arguments = ["import", str(source), "--mailbox", str(tmp_path / "my.db"), "--inbox", "me", *options]
    assert main(arguments) == code
    return arguments


@pytest.fixture
def takeout(tmp_path: Path) -> Path:
    labels = [f"X-Gmail-Labels: {label}\n" for label in ("Inbox", "Spam", "Trash", "Spam,Opened")]
    return write_box(tmp_path / "All mail.mbox", *(message(n, label) for n, label in enumerate(labels)), message(0))


def test_f04_spam_and_trash_are_counted_and_left_out_unless_asked_for(
    takeout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, takeout)
    assert "read 5: 1 imported, 1 duplicate, 2 left out (Gmail Spam), 1 left out (Gmail Trash), 0 rej" in (
        capsys.readouterr().out
    )
    run(tmp_path, takeout, "--json")
    row = json.loads(capsys.readouterr().out)
    assert row["skipped"] == {"Gmail Spam": 2, "Gmail Trash": 1}
    assert row["read"] == row["imported"] + row["duplicates"] + row["rejected"] + sum(row["skipped"].values()) == 5
    run(tmp_path, takeout, "--include-spam", "--json")
    assert json.loads(capsys.readouterr().out)["total"] == 4


def test_a_dry_run_counts_everything_and_writes_nothing(
    takeout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.png").write_bytes(b"\x89PNG")
    before = sorted(tmp_path.iterdir())
    run(tmp_path, tmp_path, "--dry-run", code=ExitCode.REJECTS)
    assert sorted(tmp_path.iterdir()) == before
    assert "dry run: read 6: 1 imported" in capsys.readouterr().out
    run(tmp_path, takeout)
    before_bytes = (tmp_path / "my.db").read_bytes()
    capsys.readouterr()
    run(tmp_path, write_box(tmp_path / "more.mbox", message(0), message(8)), "--dry-run", "--json")
    row = json.loads(capsys.readouterr().out)
    assert (row["imported"], row["duplicates"], row["total"]) == (1, 1, 2)
    assert (tmp_path / "my.db").read_bytes() == before_bytes


def test_a_mail_over_the_size_limit_keeps_its_first_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_box(tmp_path / "a.mbox", message(1), message(2, body="words " * 1_000))
    run(tmp_path, source, "--max-message-size", "0.002")
    small, large = emails(tmp_path / "my.db")
    assert (small.defects, "too_large" in large.defects) == ((), True)
    assert 1_000 < len(large.body) < 2_000
    for size in ("0", "101", "big", "nan"):
        run(tmp_path, source, "--max-message-size", size, code=ExitCode.USAGE)
    run(tmp_path, source, "--workers", "0", code=ExitCode.USAGE)
    assert capsys.readouterr().err.count("\n") == 5


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_mail_that_is_cut_is_listed_and_still_counted_as_imported(
    tmp_path: Path, workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    large = message(2, body="words " * 1_000)
    source = write_box(tmp_path / "a.mbox", message(1), large, message(3))
    limit = ("--max-message-size", "0.002", "--workers", workers, "--json")
    for imported in (3, 0):  # the second time they are all copies
        run(tmp_path, source, *limit)
        row = json.loads(capsys.readouterr().out)
        assert (row["read"], row["imported"], row["duplicates"], row["rejected"]) == (3, imported, 3 - imported, 0)
        listed = [json.loads(line) for line in Path(row["rejects_path"]).read_text().splitlines()]
        offset = source.read_bytes().index(b"From ", 10)
        assert [(one["path"], one["offset"], one["code"]) for one in listed] == [(str(source), offset, "too_large")]
        assert listed[0]["sha256"] == hashlib.sha256(large.encode()).hexdigest()
    assert main(["stats", "--mailbox", str(tmp_path / "my.db"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_cut"] == 1
    assert main(["stats", "--mailbox", str(tmp_path / "my.db")]) == 0
    assert "0 undated; 1 cut short for their size" in capsys.readouterr().out


def test_the_text_of_attachments_is_searchable_when_asked_for(tmp_path: Path) -> None:
    source = write_box(tmp_path / "a.mbox", message(1, *ATTACHED))
    for options, num_found in (([], 0), (["--attachment-text"], 1)):
        (tmp_path / "my.db").unlink(missing_ok=True)
        run(tmp_path, source, *options)
        store = EmailStore.open(tmp_path / "my.db")
        found = store.database.rows("SELECT rowid FROM search_1 WHERE search_1 MATCH 'zebra'")
        store.close()
        assert len(found) == num_found


def test_a_benchmark_of_no_mail_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-system", "import", "--mails", "0"]) == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert (shown.count("\n"), "at least 1" in shown) == (1, True)


def revision(path: Path) -> int:
    store = EmailStore.open(path)
    try:
        return store.revision("me")
    finally:
        store.close()


def found(path: Path, word: str) -> int:
    store = EmailStore.open(path)
    try:
        return len(store.database.rows("SELECT rowid FROM search_1 WHERE search_1 MATCH ?", (word,)))
    finally:
        store.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stored_mails_gain_the_text_of_their_attachments_from_a_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    source = write_box(tmp_path / "a.mbox", message(1, *ATTACHED), message(2))
    run(tmp_path, source)
    assert found(tmp_path / "my.db", "zebra") == 0
    run(tmp_path, source, "--attachment-text", "--json", "--workers", workers)
    assert (found(tmp_path / "my.db", "zebra"), found(tmp_path / "my.db", "attached")) == (1, 1)
    assert emails(tmp_path / "my.db")[0].attachments[0].text == "the attached zebra"
    before = revision(tmp_path / "my.db")
    run(tmp_path, source, "--attachment-text", "--workers", workers)
    assert revision(tmp_path / "my.db") == before


def test_what_was_cut_or_not_read_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = (ATTACHED[0], ATTACHED[1].replace("text/plain", "application/pdf").replace("plan.txt", "plan.pdf"))
    source = write_box(tmp_path / "a.mbox", message(1, *broken), message(2, body="words " * 1_000), message(3))
    run(tmp_path, source, "--attachment-text", "--max-message-size", "0.002")
    assert "0 rejected, 1 cut short (see " in capsys.readouterr().out
    run(tmp_path, source, "--attachment-text", "--json")
    row = json.loads(capsys.readouterr().out)
    assert (row["cut"], row["unread"]) == (0, 0)


def test_nothing_is_written_when_nothing_has_changed(takeout: Path, tmp_path: Path) -> None:
    import_mail([takeout], tmp_path / "my.db", "me")

    first = revision(tmp_path / "my.db")
    assert import_mail([str(takeout)], tmp_path / "my.db", "me").duplicates == 2
    assert revision(tmp_path / "my.db") == first
    write_box(tmp_path / "other.mbox", message(0))  # a copy in another folder
    import_mail([tmp_path / "other.mbox"], tmp_path / "my.db", "me")
    assert revision(tmp_path / "my.db") != first
    assert emails(tmp_path / "my.db")[0].folders == ("Inbox", "All mail", "other")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImapServer]:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setattr(imap, "BATCH_BYTES", 250)
    monkeypatch.setattr(reading, "BATCH_MAILS", 2)
    with ImapServer({"INBOX": Box({uid: server_message(uid) for uid in range(1, 10)})}) as running:
        yield running


def test_f24_a_mail_server_is_asked_only_for_what_is_new(server: ImapServer, tmp_path: Path, capsys: Any) -> None:
    address = f"imap://{USER}@127.0.0.1:{server.port}/"
    run(tmp_path, address)
    assert "read 9: 9 imported" in capsys.readouterr().out
    given = server.num_given
    run(tmp_path, address)
    assert "read 0: 0 imported, 0 duplicates" in capsys.readouterr().out
    server.boxes["INBOX"].messages[20] = server_message(20)
    run(tmp_path, address)
    assert "read 1: 1 imported, 0 duplicates, 0 rejected; me holds 10" in capsys.readouterr().out
    assert server.num_given == given + 1


@pytest.mark.parametrize("num_before", [1, 4, 7])
def test_f24_an_import_that_a_server_broke_off_goes_on_there(
    server: ImapServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], num_before: int
) -> None:
    address = f"imap://{USER}@127.0.0.1:{server.port}/"
    server.drop_after = num_before
    run(tmp_path, address, code=ExitCode.UPSTREAM)
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "my.db").exists()
    server.drop_after = -1
    given = server.num_given
    run(tmp_path, address)
    assert "read 9: 9 imported" in capsys.readouterr().out
    assert server.num_given - given <= 9 - num_before + 3
    assert len(emails(tmp_path / "my.db")) == 9
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
