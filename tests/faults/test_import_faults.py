"""What must happen when the mail or the machine is bad: faults F01-F03, F15-F23."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sqlite3
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from inbox_env.emails import Email
from inbox_env.errors import ExitCode, MailsleuthError, UsageError
from inbox_env.importing import ImportSummary, import_mail
from inbox_env.ingest.files import printable
from inbox_env.ingest.sources import find_source, read_source
from inbox_env.store import EmailStore
from scripts.cli import main

LINE = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"
PLAIN = (
    b"From: ann@x.org\nTo: bob@y.org\nSubject: s%d\nMessage-ID: <%d@x.org>\n"
    b"Date: Mon, 20 Nov 2000 06:27:00 GMT\n\nbody %d\n"
)


def plain(number: int = 1) -> bytes:
    return PLAIN % (number, number, number)


def box(*messages: bytes) -> bytes:
    return b"".join(LINE + message + b"\n" for message in messages)


class Bench:
    """One mailbox in a temporary folder, and what an import into it gave."""

    def __init__(self, folder: Path) -> None:
        self.source, self.mailbox = folder / "source", folder / "my.db"
        self.source.mkdir()

    def put(self, name: str, data: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(self, *paths: Path) -> ImportSummary:
        summary = import_mail(paths or [self.source], self.mailbox, "me")
        assert summary.read == summary.imported + summary.duplicates + summary.rejected
        rows = self.rejects()
        assert len(rows) == summary.rejected
        assert (summary.rejects_path is not None) == bool(rows)
        return summary

    def rejects(self) -> list[dict[str, object]]:
        path = self.mailbox.parent / "rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def emails(self) -> list[Email]:
        store = EmailStore.open(self.mailbox)
        try:
            return [stored.email for stored in store.emails("me")]
        finally:
            store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_f01_an_unescaped_from_line_is_text(bench: Bench) -> None:
    data = box(plain(1) + b"\nFrom here on it gets better.\nFrom ann@x.org Mon Apr 18 14:26:12 2022\nmore\n", plain(2))
    bench.put("a.mbox", data)
    summary = bench.run()
    assert (summary.imported, summary.rejected) == (2, 0)
    first = next(email for email in bench.emails() if email.message_id == "<1@x.org>")
    assert "From here on" in first.body
    assert first.body.endswith("more")
    assert "unescaped_from_line" in first.defects


@pytest.mark.parametrize(
    "junk", [b"\0" * 4096, b"\xef\xbb\xbf", b"garbage\n", b"\xef\xbb\xbf\0\0\n", b"x\n" * 50_000], ids=range(5)
)
def test_f02_junk_before_the_first_message_is_a_reject_and_the_mail_is_in(bench: Bench, junk: bytes) -> None:
    path = bench.put("a.mbox", junk + box(plain(1), plain(2)))
    summary = bench.run(path)
    assert (summary.imported, summary.rejected) == (2, 1)
    assert bench.rejects()[0]["offset"] == 0
    assert main(["import", str(path), "--mailbox", str(bench.mailbox), "--inbox", "me"]) == ExitCode.REJECTS


def test_f02_nothing_usable_is_never_a_success(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.put("a.mbox", b"\0" * 100_000)
    assert main(["import", str(path), "--mailbox", str(bench.mailbox), "--inbox", "me"]) == ExitCode.USAGE
    assert "not a mailbox" in capsys.readouterr().err
    assert not bench.mailbox.exists()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_f03_line_ends_and_a_cut_off_end(bench: Bench, line_end: bytes) -> None:
    data = box(plain(1), plain(2), plain(3)).replace(b"\n", line_end).rstrip() + b" half a senten"
    bench.put("a.mbox", data)
    assert bench.run().imported == 3
    last = next(email for email in bench.emails() if email.message_id == "<3@x.org>")
    assert "no_final_newline" in last.defects
    assert [email.body for email in bench.emails()][:2] == ["body 1", "body 2"]


def test_f03_mixed_line_ends(bench: Bench) -> None:
    bench.put("a.mbox", box(plain(1)) + box(plain(2)).replace(b"\n", b"\r\n") + box(plain(3)))
    assert bench.run().imported == 3


def test_f15_same_id_with_another_body_and_no_id_are_all_kept(bench: Bench) -> None:
    same = plain(1).replace(b"body 1", b"another body")
    none = plain(7).replace(b"Message-ID: <7@x.org>\n", b"")
    bench.put("a.mbox", box(plain(1), same, none, plain(1)))
    summary = bench.run()
    assert (summary.imported, summary.duplicates) == (3, 1)
    ids = [email.message_id for email in bench.emails()]
    assert len(set(ids)) == 3
    bench.mailbox.unlink()
    bench.run()
    assert [email.message_id for email in bench.emails()] == ids


def test_f16_a_mail_without_any_date_is_kept_undated(bench: Bench) -> None:
    bench.put("a.eml", b"From: a@x.org\n\nx\n")
    bench.run()
    assert bench.emails()[0].date is None


def test_f17_links_pipes_and_vanishing_files_in_a_maildir(bench: Bench) -> None:
    cur = bench.source / "cur"
    bench.put("cur/1:2,S", plain(1))
    bench.put("cur/2:2,S", plain(2))
    bench.put("new/9", b"")
    os.mkfifo(cur / "3:2,S")
    (cur / "4:2,S").symlink_to("/etc/passwd")
    (cur / "5:2,S").symlink_to(cur / "5:2,S")
    (bench.source / ".loop").symlink_to(bench.source)
    items = read_source(find_source(bench.source))
    reasons = [getattr(next(items), "reason", "mail") for _ in range(2)]
    (cur / "2:2,S").unlink()
    reasons += [getattr(item, "reason", "mail") for item in items]
    assert reasons[:2] == ["empty file", "mail"]
    assert "No such file" in reasons[2]
    assert len(reasons) == 6
    assert bench.run().imported == 1


def test_f17_a_maildir_without_cur_is_read(bench: Bench) -> None:
    bench.put("new/1", plain(1))
    assert bench.run().imported == 1


def test_f18_odd_file_names_and_many_folders(bench: Bench) -> None:
    odd = bench.put(os.fsdecode(b"caf\xe9.eml"), plain(1).replace(b"body", b"caf\xe9"))
    for number in range(2, 1_002):
        folder = bench.source / f"d{number}"
        folder.mkdir()
        (folder / "1.").write_bytes(plain(number))
    bench.put(os.fsdecode(b"\xff/junk.\xfe"), b"no mail")
    summary = bench.run()
    assert (summary.imported, summary.rejected) == (1_001, 1)
    assert bench.rejects()[0]["path"] == f"hex:{os.fsencode(bench.source).hex()}2fff2f6a756e6b2efe"
    assert printable(odd).startswith("hex:")
    assert any("café 1" in email.body for email in bench.emails())


def test_f19_zip_members_outside_or_swollen_are_rejects(bench: Bench) -> None:
    path = bench.source / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../evil.eml", plain(1))
        archive.writestr("/abs.eml", plain(2))
        archive.writestr("bomb.eml", plain(3) + b"\0" * 30_000_000)
        archive.writestr("good.eml", plain(4))
    summary = bench.run(path)
    assert (summary.imported, summary.rejected) == (1, 3)
    assert sorted(bench.source.parent.iterdir()) == sorted(
        [bench.source, bench.mailbox, bench.mailbox.parent / "rejects.jsonl"]
    )


def test_f19_tar_members_that_are_no_files_and_a_cut_off_archive(bench: Bench) -> None:
    path, message = bench.source / "a.tar", bench.put("good.eml", plain(1))
    with tarfile.open(path, "w") as archive:
        archive.add(message, "good.eml")
        archive.add(message, "../up.eml")
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.add(message, "last.eml")
        end = archive.offset
    path.write_bytes(path.read_bytes()[: end - 600])
    summary = bench.run(path)
    assert summary.imported == 1
    reasons = [str(row["reason"]) for row in bench.rejects()]
    assert reasons[:2] == ["a member outside the archive's folder", "not a regular file"]
    assert "cut off" in reasons[2]


def child(bench: Bench, prepare: Callable[[], None]) -> tuple[int, str]:
    """Import in a forked process; return its exit code (negative: the signal that ended it) and its standard error."""
    errors = bench.mailbox.parent / "stderr"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            sys.stdout = sys.stderr = os.fdopen(descriptor, "w")
            prepare()
            code = main(["import", str(bench.source), "--mailbox", str(bench.mailbox), "--inbox", "me"])
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    text = errors.read_text()
    errors.unlink()
    return status, text


def limit_files(num_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def alarm(seconds: float, handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def fingerprint(bench: Bench) -> str:
    return hashlib.sha256(repr([(email.message_id, email.body) for email in bench.emails()]).encode()).hexdigest()


@pytest.fixture
def half_full(bench: Bench) -> Bench:
    """A mailbox with one mail, and 400 more to import."""
    bench.put("a.mbox", box(plain(1)))
    bench.run()
    bench.put("a.mbox", box(*(plain(n) + b"words %d\n" % n * 300 for n in range(1, 401))))
    return bench


def test_f22_a_full_disk_leaves_the_mailbox_as_it_was(half_full: Bench) -> None:
    before = fingerprint(half_full)
    codes = []
    for size in (2_000, 50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000, 50_000_000):
        code, errors = child(half_full, lambda size=size: limit_files(size))
        codes.append(code)
        if code:
            assert code == ExitCode.RESOURCE, errors
            assert errors.count("\n") == 1
            assert fingerprint(half_full) == before
            left = {path.name for path in half_full.mailbox.parent.iterdir()} - {"source", "my.db"}
            assert all(name.startswith("my.db.partial-") and name in errors for name in left), errors
    assert codes[0] == ExitCode.RESOURCE
    assert codes[-1] == ExitCode.OK
    assert len(half_full.emails()) == 401


def test_f20_what_a_killed_writer_left_half_written_is_undone(bench: Bench) -> None:
    bench.put("a.mbox", box(*(plain(n) for n in range(50))))
    bench.run()
    before = fingerprint(bench)
    process = os.fork()
    if process == 0:
        connection = sqlite3.connect(bench.mailbox, isolation_level=None)
        for statement in ("PRAGMA cache_size = 1", "BEGIN", "UPDATE mails SET body = hex(zeroblob(9000))"):
            connection.execute(statement)
        os._exit(0)
    os.waitpid(process, 0)
    assert bench.mailbox.with_name("my.db-journal").stat().st_size > 0
    assert fingerprint(bench) == before


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.default_int_handler], ids=["kill", "interrupt"])
def test_f20_f21_an_interrupted_import_leaves_the_old_mailbox_or_the_whole_new_one(
    half_full: Bench, handler: signal.Handlers
) -> None:
    before = fingerprint(half_full)
    died = -signal.SIGALRM if handler is signal.SIG_DFL else ExitCode.INTERRUPTED
    for hundredths in (1, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 40):
        code, errors = child(half_full, lambda seconds=hundredths / 100: alarm(seconds, handler))
        assert code in (ExitCode.OK, died), errors
        assert fingerprint(half_full) == before or len(half_full.emails()) == 401
    assert half_full.run().total == 401
    assert {path.name for path in half_full.mailbox.parent.iterdir()} == {"source", "my.db"}


@pytest.mark.parametrize("where", ["folder", "missing/parent.db"])
def test_f23_a_mailbox_that_cannot_be_written_is_said_before_reading(bench: Bench, where: str) -> None:
    bench.put("a.mbox", box(plain(1)))
    (bench.mailbox.parent / "folder").mkdir()
    before = sorted(bench.mailbox.parent.rglob("*"))
    with pytest.raises(UsageError):
        import_mail([bench.source], bench.mailbox.parent / where, "me")
    assert sorted(bench.mailbox.parent.rglob("*")) == before


def test_f23_a_read_only_folder_is_said(bench: Bench) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    bench.put("a.mbox", box(plain(1)))
    bench.mailbox.parent.chmod(0o500)
    try:
        with pytest.raises(MailsleuthError) as caught:
            bench.run()
        assert caught.value.exit_code == ExitCode.USAGE
    finally:
        bench.mailbox.parent.chmod(0o700)


def test_all_odd_mail_is_accounted_for(shared_data: Path, bench: Bench) -> None:
    """Every regular file of the collection is a mail, an mbox of mails, or a named reject."""
    summary = bench.run(shared_data / "odd_mail")
    rejected = {str(row["path"]) for row in bench.rejects()}
    files = [path for path in (shared_data / "odd_mail").rglob("*") if path.is_file() and not path.name.startswith(".")]
    messages = [path for path in files if path.suffix in (".eml", ".msg")]
    assert not {str(path) for path in messages} & rejected
    assert summary.read >= len(files)
    assert len(rejected) < 40
