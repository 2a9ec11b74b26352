"""Nothing is dropped silently: a file in a folder or archive is mail, a reject, or left out and counted."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sources import find_source, read_source

MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"
MBOX = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n" + MAIL
HIDDEN, OTHERS, EMPTY = "hidden file", "another program's file", "empty file"
MAIL_BY_CONTENT = {
    "Subscriptions": (MBOX, "Subscriptions"),
    "Courier 2001": (MBOX, "Courier 2001"),
    "Door.lock": (MBOX, "Door.lock"),
    ".old.mbox": (MBOX, ".old"),
    ".Archive/2001.mbox": (MBOX, ".Archive/2001"),
    ".deep/er/1.eml": (MAIL, ".deep/er"),
    "dovecot-howto.eml": (MAIL, ""),
    "Takeout/saved.eml": (MAIL, "Takeout"),
    "Takeout/notes": (MAIL, "Takeout"),
}
LEFT_OUT = {
    ".DS_Store": (b"\0\0\0\1Bud1", HIDDEN),
    "Inbox.msf": (b"// <!-- <mdb:mork", OTHERS),
    ".cache/x.bin": (b"\0\1", HIDDEN),
    ".junk.mbox": (b"no mail at all\n" * 9, HIDDEN),
    "dovecot.index": (b"\0\1", OTHERS),
    "subscriptions": (b"INBOX\nSent\n", OTHERS),
    "inbox.lock": (b"1234\n", OTHERS),
    "Takeout/Drive/letter.docx": (b"PK", OTHERS),
    "Takeout/Chat/a.json": (b'{"a": 1}', OTHERS),
    "work/,3": (MAIL, "deleted in MH"),
    "A.mbox/Attachments/1/note.eml": (MAIL, "an attachment kept beside its mail"),
    "nothing.eml": (b"", EMPTY),
    "Drafts": (b"", EMPTY),
    ".placeholder": (b"", HIDDEN),
}


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def as_folder(path: Path) -> Path:
    return path


def as_zip(path: Path) -> Path:
    with zipfile.ZipFile(path.with_name("a.zip"), "w") as archive:
        for file in sorted(path.rglob("*")):
            archive.write(file, file.relative_to(path))
    return path.with_name("a.zip")


def as_tar(path: Path) -> Path:
    with tarfile.open(path.with_name("a.tar"), "w") as archive:
        archive.add(path, ".")
    return path.with_name("a.tar")


def read(path: Path) -> tuple[list[RawMail], list[Reject], list[Skipped]]:
    items = list(read_source(find_source(path)))
    return (
        [item for item in items if isinstance(item, RawMail)],
        [item for item in items if isinstance(item, Reject)],
        [item for item in items if isinstance(item, Skipped)],
    )


@pytest.mark.parametrize("form", [as_folder, as_zip, as_tar])
@pytest.mark.parametrize("name", MAIL_BY_CONTENT)
def test_what_is_mail_by_its_content_is_read_whatever_its_name(
    tmp_path: Path, name: str, form: Callable[[Path], Path]
) -> None:
    data, folder = MAIL_BY_CONTENT[name]
    put(tmp_path / "in" / name, data)
    mails, rejects, left_out = read(form(tmp_path / "in"))
    assert ([(mail.raw, mail.folder) for mail in mails], rejects, left_out) == ([(MAIL, folder)], [], [])


@pytest.mark.parametrize("form", [as_folder, as_zip, as_tar])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_counted(tmp_path: Path, name: str, form: Callable[[Path], Path]) -> None:
    data, reason = LEFT_OUT[name]
    put(tmp_path / "in" / name, data)
    assert read(form(tmp_path / "in")) == ([], [], [Skipped(reason, len(data))])


def test_packed_mail_in_an_export_and_in_hidden_files_is_read(tmp_path: Path) -> None:
    put(tmp_path / "Takeout" / "Old.mbox.gz", gzip.compress(MBOX))
    put(tmp_path / ".old.mbox.gz", gzip.compress(MBOX))
    put(tmp_path / ".junk.mbox.gz", gzip.compress(b"no mail\n"))
    put(tmp_path / "Takeout" / "other.gz", gzip.compress(MBOX))
    mails, rejects, left_out = read(tmp_path)
    assert ([mail.folder for mail in mails], rejects) == ([".old", "Takeout/Old"], [])
    assert sorted(item.reason for item in left_out) == [OTHERS, HIDDEN]


def test_a_maildirs_hidden_files_and_undelivered_mail_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "cur" / "1.x:2,S", MAIL)
    put(tmp_path / "cur" / ".kept", MAIL)
    put(tmp_path / "cur" / ".nfs0001", b"\0\1")
    put(tmp_path / "tmp" / "2.x", b"half a mai")
    mails, rejects, left_out = read(tmp_path)
    assert (len(mails), rejects) == (2, [])
    assert left_out == [Skipped(HIDDEN, 2), Skipped("not yet delivered", 10)]


def test_a_file_called_as_mail_that_is_none_is_a_reject(tmp_path: Path) -> None:
    put(tmp_path / "dovecot.eml", b"\0\1")
    put(tmp_path / "Takeout" / "x.mbox", b"no mail\n")
    mails, rejects, left_out = read(tmp_path)
    assert (mails, len(rejects), left_out) == ([], 2, [])


def test_a_link_is_called_a_link(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.eml", MAIL)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.eml").symlink_to(tmp_path / "a" / "1.eml")
    (reject,) = read(tmp_path / "b")[1]
    assert reject.reason == "a symbolic link, not followed"


@pytest.mark.parametrize(
    ("source", "file", "folder"),
    [
        ("Apple.mbox", "mbox", "Apple"),
        ("Apple.mbox/mbox", "", "Apple"),
        ("abcd.default-release", "Mail/Local Folders/Inbox", "Local Folders/Inbox"),
        ("Profiles", "x1.default/ImapMail/mail.x.org/INBOX.sbd/Work", "mail.x.org/INBOX/Work"),
        ("old", "Mail/Local/Inbox", "Mail/Local/Inbox"),
    ],
)
def test_a_folder_is_called_as_its_program_shows_it(tmp_path: Path, source: str, file: str, folder: str) -> None:
    put(tmp_path / source / file if file else tmp_path / source, MBOX)
    assert [mail.folder for mail in read(tmp_path / source)[0]] == [folder]
