"""What must happen when the mail or the machine is bad: faults F01-F03, F15-F19, F23."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest

from inbox_env.errors import ExitCode, MailsleuthError, UsageError
from inbox_env.importing.import_mail import import_mail
from inbox_env.ingest.files import printable
from inbox_env.ingest.sources import find_source, read_source
from scripts.cli import main
from tests.faults.import_bench import Bench, box, plain


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


@pytest.mark.parametrize("data", [b"\0" * 100_000, b"\xef\xbb\xbf", Random(1).randbytes(100_000)], ids=range(3))
def test_f02_nothing_usable_is_never_a_success(bench: Bench, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.put("a.mbox", data)
    assert main(["import", str(path), "--mailbox", str(bench.mailbox), "--inbox", "me"]) == ExitCode.CORRUPT
    error = capsys.readouterr().err
    assert error.startswith("error[E-DAT-53]: not a mailbox, or damaged: no mail in it from byte 0 on")
    assert error.count("\n") == 1
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
    assert sorted(reasons[3:]) == ["a symbolic link, not followed"] * 2 + ["hidden file", "not a regular file"]
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
        [bench.source, bench.mailbox, bench.mailbox.parent / "my.db.rejects.jsonl"]
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


@pytest.mark.slow
def test_all_odd_mail_is_accounted_for(shared_data: Path, bench: Bench) -> None:
    """Every regular file of the collection is a mail, an mbox of mails, or a named reject."""
    summary = bench.run(shared_data / "odd_mail")
    rejected = {str(row["path"]) for row in bench.rejects()}
    files = [path for path in (shared_data / "odd_mail").rglob("*") if path.is_file() and not path.name.startswith(".")]
    messages = [path for path in files if path.suffix in (".eml", ".msg")]
    assert not {str(path) for path in messages} & rejected
    assert summary.read >= len(files)
    assert len(rejected) < 40
