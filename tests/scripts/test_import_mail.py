"""The import command: what it prints and returns, and that real mailboxes are accounted for."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from inbox_env.emails import Email
from inbox_env.errors import ExitCode
from inbox_env.importing.import_mail import import_mail
from inbox_env.ingest import mbox_split
from inbox_env.store import EmailStore
from scripts.cli import main
from scripts.import_mail import _progress

LINE = "From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"
# Counted independently of the readers: how the collection's own files mark the start of a message.
SEPARATOR = re.compile(rb"^From MAILER-DAEMON ", re.MULTILINE)
COUNTS = {
    "lay-k": 5937, "arnold-j": 4898, "williams-w3": 3440, "perlingiere-d": 4778, "kaminski-v": 7022, "lokay-m": 5568,
    "blair-l": 3415, "rogers-b": 8009, "griffith-j": 2973, "parks-j": 2284, "crandell-s": 519, "dickson-s": 395,
    "south-s": 248, "slinger-r": 132, "phanis-s": 35,
}  # fmt: skip
OWNERS = {"lay-k": "kenneth.lay@enron.com", "kaminski-v": "vince.kaminski@enron.com", "parks-j": "joe.parks@enron.com"}


def message(number: int, sender: str = "Ann <ann@x.org>", to: str = "bob@y.org", message_id: str = "") -> str:
    return (
        f"From: {sender}\nTo: {to}\nSubject: s{number}\nMessage-ID: <{message_id or number}@x.org>\n"
        f"Date: Mon, 20 Nov 2000 06:27:{number:02} GMT\n\nbody {number}\n"
    )


def write_box(path: Path, *messages: str) -> Path:
    path.write_text("".join(f"{LINE}{text}\n" for text in messages))
    return path


def emails(mailbox: Path, inbox: str = "me") -> list[Email]:
    store = EmailStore.open(mailbox)
    try:
        return [stored.email for stored in store.emails(inbox)]
    finally:
        store.close()


def test_the_summary_line_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_box(tmp_path / "inbox.mbox", message(1), message(2), message(1))
    assert main(["import", str(source), "--mailbox", str(tmp_path / "my.db"), "--inbox", "me"]) == ExitCode.OK
    out = capsys.readouterr()
    assert out.out.startswith("read 3: 2 imported, 1 duplicate, 0 rejected; me holds 2 mails of bob@y.org")
    assert out.err == ""


def test_a_file_that_ends_in_the_middle_of_a_mail_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_box(tmp_path / "a.mbox", message(1), message(2))
    command = ["import", str(source), "--mailbox", str(tmp_path / "my.db"), "--inbox"]
    assert main([*command, "whole"]) == ExitCode.OK
    assert "line break" not in capsys.readouterr().out
    source.write_bytes(source.read_bytes().rstrip(b"\n")[:-3])
    assert main([*command, "torn"]) == ExitCode.OK
    assert "2 imported, 0 duplicates, 0 rejected, 1 file without a line break at the end" in capsys.readouterr().out


def test_rejects_are_listed_beside_the_mailbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    write_box(folder / "inbox.mbox", message(1))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    arguments = ["import", str(folder), "--mailbox", str(tmp_path / "my.db"), "--inbox", "me", "--json"]
    assert main(arguments) == ExitCode.REJECTS
    row = json.loads(capsys.readouterr().out)
    assert (row["read"], row["imported"], row["rejected"]) == (2, 1, 1)
    reject = json.loads(Path(row["rejects_path"]).read_text())
    assert set(reject) == {"inbox", "path", "offset", "reason", "sha256", "code"}
    assert reject["code"] == "unread"
    assert reject["path"].endswith("picture.png")
    (folder / "picture.png").unlink()
    assert main(arguments) == ExitCode.OK
    assert not (tmp_path / "my.db.rejects.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [("gone.mbox", None, "no such file"), ("a.png", b"\x89PNG\r\n", "not a mailbox"), ("a.mbox", b"", "empty")],
)
def test_bad_sources_are_one_line_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes | None, words: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    code = main(["import", str(tmp_path / name), "--mailbox", str(tmp_path / "my.db"), "--inbox", "me"])
    errors = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert errors.startswith("error[E-USE-")
    assert errors.count("\n") == 1
    assert words in errors
    assert not (tmp_path / "my.db").exists()


def test_copies_are_folded_and_every_id_and_folder_stays(tmp_path: Path) -> None:
    for folder, message_id in (("inbox", "a"), ("archive", "b"), ("all", "c")):
        write_box(tmp_path / f"{folder}.mbox", message(1, message_id=message_id))
    mailbox = tmp_path / "my.db"
    sources = [tmp_path / f"{folder}.mbox" for folder in ("inbox", "archive", "all")]
    summary = import_mail(sources, mailbox, "me")
    assert (summary.imported, summary.duplicates) == (1, 2)
    (email,) = emails(mailbox)
    assert email.message_id == "<a@x.org>"
    assert email.folders == ("inbox", "archive", "all")
    store = EmailStore.open(mailbox)
    for message_id in ("<a@x.org>", "<b@x.org>", "<c@x.org>"):
        found = store.read("me", message_id, None)
        assert found is not None
        assert found.email == email
    assert store.read("me", "<d@x.org>", None) is None
    store.close()


def test_importing_again_adds_what_is_new_and_keeps_the_rest(tmp_path: Path) -> None:
    mailbox = tmp_path / "my.db"
    first, second = write_box(tmp_path / "a.mbox", message(1), message(2)), tmp_path / "b.mbox"
    import_mail([first], mailbox, "me")
    import_mail([first], mailbox, "other")
    write_box(second, message(2, message_id="copy"), message(3))
    summary = import_mail([second], mailbox, "me")
    assert (summary.imported, summary.duplicates, summary.total) == (1, 1, 3)
    assert [email.message_id for email in emails(mailbox)] == ["<1@x.org>", "<2@x.org>", "<3@x.org>"]
    assert emails(mailbox)[1].aliases == ("<copy@x.org>",)
    assert len(emails(mailbox, "other")) == 2
    again = import_mail([first, second], mailbox, "me")
    assert (again.imported, again.duplicates, again.total) == (0, 4, 3)


def test_importing_in_two_steps_equals_importing_at_once(tmp_path: Path) -> None:
    texts = [message(n % 7, message_id=f"m{n}") for n in range(20)]
    boxes = [write_box(tmp_path / f"{n}.mbox", *texts[n * 5 : n * 5 + 5]) for n in range(4)]
    import_mail(boxes, tmp_path / "once.db", "me")
    for one in boxes:
        import_mail([one], tmp_path / "steps.db", "me")
    assert emails(tmp_path / "once.db") == emails(tmp_path / "steps.db")


def test_the_owner_is_guessed_given_and_kept(tmp_path: Path) -> None:
    write_box(tmp_path / "sent.mbox", message(1, "Bo <bob@y.org>", "x@z.org"), message(2, "aide@y.org", "x@z.org"))
    write_box(tmp_path / "inbox.mbox", message(3, to="Bo Y <bob@y.org>, x@z.org"), message(4, to="x@z.org"))
    mailbox = tmp_path / "my.db"
    sources = [tmp_path / "sent.mbox", tmp_path / "inbox.mbox"]
    assert import_mail(sources, mailbox, "me").owner.email == "bob@y.org"
    arguments = ["import", *map(str, sources), "--mailbox", str(mailbox), "--inbox", "me"]
    assert main([*arguments, "--owner", "Cy <cy@y.org>"]) == ExitCode.OK
    assert str(import_mail(sources, mailbox, "me").owner) == "Cy <cy@y.org>"
    assert main([*arguments, "--owner", "nobody"]) == ExitCode.USAGE


def test_progress_counts_bytes_up_to_all(tmp_path: Path) -> None:
    source = write_box(tmp_path / "a.mbox", *(message(n % 60) + "word " * 2_000 + "\n" for n in range(120)))
    seen: list[tuple[int, int]] = []
    import_mail([source], tmp_path / "my.db", "me", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1] == (source.stat().st_size, source.stat().st_size)


STEP = 1 << 18


def labelled(number: int, label: str) -> str:
    text = message(number % 60, message_id=f"{label}{number}") + "word " * 2_000 + "\n"
    return f"X-Gmail-Labels: {label}\n{text}"


def test_progress_grows_evenly_over_mail_that_is_left_out_or_cut(tmp_path: Path) -> None:
    half = [labelled(n, "Inbox") for n in range(100)], [labelled(n, "Spam") for n in range(100)]
    sources = [write_box(tmp_path / f"{n}.mbox", *half[n], *half[1 - n]) for n in range(2)]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".index.db").write_bytes(b"\0" * 300_000)
    (folder / "1.eml").write_text(message(1))
    total = sum(path.stat().st_size for path in sources) + 300_000 + len(message(1))
    seen: list[tuple[int, int]] = [(0, total)]
    import_mail([*sources, folder], tmp_path / "my.db", "me", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert {whole for _, whole in seen} == {total}
    gaps = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert max(gaps) < STEP + 310_000, "a step and the largest thing"
    assert [done for done, _ in seen].count(total) == 1, "the end is told at the end"


def test_progress_of_an_mbox_is_the_place_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox_split, "MAX_MESSAGE_BYTES", 1_000_000)
    monkeypatch.setattr(mbox_split, "KEPT_OF_TOO_LARGE", 2_000)
    huge = message(1) + "word " * 1_000_000 + "\n"
    source = write_box(tmp_path / "a.mbox", huge, *(message(n) + "word " * 70_000 + "\n" for n in range(2, 5)))
    seen: list[int] = []
    import_mail([source], tmp_path / "my.db", "me", progress=lambda done, _: seen.append(done))
    assert seen[0] > 5_000_000, "what was cut off is done, too"


class Terminal(io.StringIO):
    """A stream that says somebody watches."""

    def isatty(self) -> bool:
        return True


def test_a_bar_of_bytes_with_the_time_left_is_drawn_for_who_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_box(tmp_path / "a.mbox", *(labelled(n, "Inbox" if n < 60 else "Spam") for n in range(120)))
    watched = Terminal()
    monkeypatch.setattr(sys, "stderr", watched)
    monkeypatch.setenv("TERM", "xterm")
    with _progress() as progress:
        assert progress is not None

        def show(done: int, total: int) -> None:
            progress(done, total)
            time.sleep(0.12)  # a bar is drawn ten times a second

        import_mail([source], tmp_path / "my.db", "me", progress=show)
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", watched.getvalue()).split("\r")
    bars = [
        re.fullmatch(r"(reading|indexing) [━╺╸]+ ([\d.]+)/1.2 MB (\d:\d\d:\d\d|-:--:--| )\n?", bar) for bar in drawn
    ]
    shown = [(bar[1], float(bar[2])) for bar in bars if bar is not None]
    assert shown == sorted(shown, key=lambda bar: bar[1])
    reading = {megabytes for what, megabytes in shown if what == "reading"}
    assert len(reading) > 2
    assert max(reading) > 0.8, "half of it is left out"
    assert shown[-1] == ("indexing", 1.2)
    assert any(bar is not None and bar[3][0].isdigit() for bar in bars), "the time left"


def test_the_same_import_gives_the_same_mailbox_whatever_the_index(tmp_path: Path) -> None:
    source = write_box(tmp_path / "a.mbox", message(1), message(2))
    for index in ("fts5", "whoosh"):
        code = main(["import", str(source), "--mailbox", str(tmp_path / index), "--inbox", "me", "--index", index])
        assert code == ExitCode.OK
    assert emails(tmp_path / "fts5") == emails(tmp_path / "whoosh")


def check_owner(source: Path, tmp_path: Path) -> None:
    """Import one owner and hold the counts against an independent count of the raw files."""
    owner, mailbox = source.name, tmp_path / "real.db"
    files = [path for path in source.rglob("*") if path.is_file()]
    is_mbox = files[0].suffix == ".mbox"
    counted = sum(len(SEPARATOR.findall(path.read_bytes())) for path in files) if is_mbox else len(files)
    summary = import_mail([source], mailbox, owner)
    assert (summary.read, summary.rejected) == (counted, 0)
    assert counted == COUNTS[owner]
    kept = emails(mailbox, owner)
    assert len(kept) == summary.imported == summary.total
    assert sum(1 + len(email.aliases) for email in kept) == counted
    assert summary.owner.email == OWNERS.get(owner, summary.owner.email)
    folders = {path.relative_to(source).with_suffix("").as_posix() for path in files if path.stat().st_size}
    expected = folders if is_mbox else {path.relative_to(source).parent.as_posix() for path in files}
    assert {folder for email in kept for folder in email.folders} == expected


@pytest.mark.parametrize("owner", ["enron_maildir/phanis-s", "enron_maildir/south-s", "enron_mbox/parks-j"])
def test_every_message_of_a_small_real_mailbox_is_accounted_for(shared_data: Path, tmp_path: Path, owner: str) -> None:
    check_owner(shared_data / owner, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("owner", sorted(COUNTS))
def test_every_message_of_every_real_mailbox_is_accounted_for(shared_data: Path, tmp_path: Path, owner: str) -> None:
    places = (shared_data / "enron_mbox" / owner, shared_data / "enron_maildir" / owner)
    check_owner(next(place for place in places if place.is_dir()), tmp_path)


def test_the_gold_mails_of_the_questions_are_there(shared_data: Path, tmp_path: Path) -> None:
    """Each gold Message-ID resolves, folded or not (one owner; the others run slowly above)."""
    rows = [json.loads(line) for line in (shared_data / "questions" / "enron_train.jsonl").read_text().splitlines()]
    gold = {one for row in rows if row["inbox"] == "williams-w3" for one in row["message_ids"]}
    import_mail([shared_data / "enron_mbox" / "williams-w3"], tmp_path / "my.db", "w")
    store = EmailStore.open(tmp_path / "my.db")
    assert [one for one in gold if store.read("w", one, None) is None] == []
    store.close()
