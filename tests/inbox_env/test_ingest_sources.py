"""Finding out what a path holds, and reading it."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from inbox_env.errors import UsageError
from inbox_env.ingest.records import RawMail, Reject
from inbox_env.ingest.sources import find_source, read_source

MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"
LINE = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"


def read(path: Path) -> tuple[list[RawMail], list[Reject]]:
    items = list(read_source(find_source(path)))
    mails = [item for item in items if isinstance(item, RawMail)]
    return mails, [item for item in items if isinstance(item, Reject)]


def put(path: Path, data: bytes = MAIL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_single_file_is_known_by_its_content(tmp_path: Path) -> None:
    assert find_source(put(tmp_path / "a.mbox", LINE + MAIL)).kind == "mbox"
    assert find_source(put(tmp_path / "a", LINE + MAIL)).kind == "mbox"
    assert find_source(put(tmp_path / "b.eml")).kind == "eml"
    assert find_source(put(tmp_path / "c.eml", LINE + MAIL)).kind == "eml"
    assert find_source(tmp_path).kind == "folder"


def test_a_folder_of_mboxes_and_files_gives_folder_names_in_natural_order(tmp_path: Path) -> None:
    put(tmp_path / "sent.mbox", (LINE + MAIL + b"\n") * 2)
    put(tmp_path / "Archive.sbd" / "2001.05.mbox", LINE + MAIL)
    for number in (10, 2, 1):
        put(tmp_path / "inbox" / f"{number}.", MAIL + b"%d\n" % number)
    put(tmp_path / "deep" / "er" / "x.eml")
    put(tmp_path / ".hidden", b"junk")
    put(tmp_path / "sent.msf", b"junk")
    mails, rejects = read(tmp_path)
    assert rejects == []
    assert [mail.folder for mail in mails] == ["sent", "sent", "Archive/2001.05", "deep/er", "inbox", "inbox", "inbox"]
    assert [mail.raw[-2:] for mail in mails[-3:]] == [b"1\n", b"2\n", b"0\n"]


def test_maildir_folders_flags_and_states(tmp_path: Path) -> None:
    put(tmp_path / "cur" / "1.x:2,S")
    put(tmp_path / "cur" / "2.x:2,ST")
    put(tmp_path / "new" / "3.x")
    put(tmp_path / "tmp" / "4.x")
    put(tmp_path / ".Sent.2001" / "cur" / "5.x:2,DS")
    put(tmp_path / "dovecot.index", b"\0\1")
    mails, rejects = read(tmp_path)
    assert rejects == []
    assert [(mail.folder, mail.labels) for mail in mails] == [
        ("inbox", ()),
        ("inbox", ()),
        ("inbox", ("Trash",)),
        ("Sent/2001", ("Drafts",)),
    ]


def test_archives_are_read_in_place(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("box/sent.mbox", (LINE + MAIL + b"\n") * 2)
        archive.writestr("box/notes.txt", "shopping list")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("maildir/lay-k/inbox/1.")
        info.size = len(MAIL)
        tar.addfile(info, io.BytesIO(MAIL))
    mails, rejects = read(tmp_path / "a.zip")
    assert [mail.folder for mail in mails] == ["box/sent"] * 2
    assert [(reject.path[-9:], reject.reason) for reject in rejects] == [("notes.txt", "not a mail file")]
    assert read(tmp_path / "b.tar.gz")[0][0].folder == "maildir/lay-k/inbox"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n" + os.urandom(100), "not a mailbox"),
        ("a.mbox", b"", "empty"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1\noid sha256:7e\nsize 937399858\n", "not a mailbox"),
        ("a.pst", b"!BDN\x00\x01", "readpst"),
        ("a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1", "save it as .eml"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd\x04", "unzstd"),
        ("a.txt", b"Dear diary,\nthis is text.\n", "not a mailbox"),
    ],
)
def test_what_is_no_mailbox_is_said_in_one_line(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        find_source(put(tmp_path / name, data))
    assert name in caught.value.line()
    assert len(caught.value.line()) <= 300


def test_a_missing_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        find_source(tmp_path / "nowhere.mbox")
