"""Folders of mail as programs keep them: Maildir, MH, Apple Mail, Thunderbird, and archives of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import plistlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from inbox_env.errors import UsageError
from inbox_env.ingest.sources import find_source, read_source
from tests.faults.bad_mail import folders, read

MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"
LINE = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"


def put(path: Path, data: bytes = MAIL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def packed(folder: Path, form: str) -> Path:
    """Pack the folder's files, names relative to it, into an archive beside it."""
    target = folder.with_name(f"packed.{form}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if form == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
    else:
        mode = form.partition("tar")[2].lstrip(".")
        with tarfile.open(target, f"w:{mode}") as tar:  # type: ignore[call-overload]
            for path in files:
                tar.add(path, str(path.relative_to(folder)))
    return target


def make_maildir(top: Path) -> None:
    put(top / "cur" / "1.x:2,S")
    put(top / "cur" / "2.x:2,FRS")
    put(top / "cur" / "3.x;2,P")
    put(top / "new" / "4.x")
    put(top / "tmp" / "5.x", b"half a mai")
    put(top / ".Sent.2001" / "cur" / "6.x:2,T")
    put(top / ".Pl&AOQ-ne" / "new" / "7.x")
    put(top / "maildirfolder", b"")
    put(top / "dovecot-uidlist", b"3 V1")


MAILDIR = [
    ("inbox", ()), ("inbox", ()), ("inbox", ("Flagged", "Replied")), ("inbox", ("Forwarded",)),
    ("Pläne", ()), ("Sent/2001", ("Trash",)),
]  # fmt: skip


def test_a_maildir_has_folders_and_flags(tmp_path: Path) -> None:
    make_maildir(tmp_path)
    assert folders(tmp_path) == MAILDIR


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_of_a_maildir_gives_the_same(tmp_path: Path, form: str) -> None:
    make_maildir(tmp_path / "in")
    assert sorted(folders(packed(tmp_path / "in", form))) == sorted(MAILDIR)


def test_stray_mail_beside_and_below_a_maildir_is_read(tmp_path: Path) -> None:
    put(tmp_path / "new" / "1.x")
    put(tmp_path / "new" / "project" / "2.eml")
    put(tmp_path / "loose.eml")
    put(tmp_path / "notes.txt", b"no mail")
    mails, rejects = read(tmp_path)
    assert [mail.folder for mail in mails] == ["inbox", "", "new/project"]
    assert [Path(reject.path).name for reject in rejects] == ["notes.txt"]


def test_an_mh_folder_has_sequences_and_deleted_mail_in_it_is_no_mail(tmp_path: Path) -> None:
    for name in ("1", "2", "10", ",3", "#4"):
        put(tmp_path / "work" / name)
    put(tmp_path / "work" / ".mh_sequences", b"unseen: 1-10\nflagged: 2-9 10\nreplied: 10\n")
    assert folders(tmp_path) == [("work", ()), ("work", ("Flagged",)), ("work", ("Flagged", "Replied"))]


def emlx(raw: bytes, flags: int, *, is_binary: bool = False) -> bytes:
    form = plistlib.FMT_BINARY if is_binary else plistlib.FMT_XML
    return b"%d      \n" % len(raw) + raw + plistlib.dumps({"flags": flags, "date-sent": 1}, fmt=form)


def make_apple(top: Path) -> None:
    inner = top / "INBOX.mbox" / "01234567-89AB-CDEF-0123-456789ABCDEF" / "Data"
    put(inner / "Messages" / "1.emlx", emlx(MAIL, 1 << 4))
    put(inner / "3" / "2" / "Messages" / "2.partial.emlx", emlx(MAIL, 1 << 2, is_binary=True))
    put(inner / "3" / "2" / "Attachments" / "2" / "2" / "photo.jpg", b"\xff\xd8\xff")
    put(top / "Sent.mbox" / "mbox", LINE + MAIL)
    put(top / "Sent.mbox" / "table_of_contents", b"\0\1")
    put(top / "Archive.mbox" / "2001.mbox" / "Info.plist", b"<plist/>")
    put(top / "Archive.mbox" / "2001.mbox" / "Messages" / "3.emlx", emlx(MAIL, 0))


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_apple_mail_is_read_as_folder_and_as_archive(tmp_path: Path, form: str) -> None:
    make_apple(tmp_path / "in")
    mails, rejects = read(tmp_path / "in" if form == "folder" else packed(tmp_path / "in", form))
    assert rejects == []
    assert all(mail.raw == MAIL for mail in mails)
    assert sorted((mail.folder, mail.labels, mail.defects) for mail in mails) == [
        ("Archive/2001", (), ()),
        ("INBOX", ("Flagged",), ()),
        ("INBOX", ("Replied",), ("attachments_elsewhere",)),
        ("Sent", (), ()),
    ]


def test_an_emlx_that_is_cut_off_keeps_what_is_there(tmp_path: Path) -> None:
    mails, _ = read(put(tmp_path / "1.emlx", b"900\n" + MAIL))
    assert [(mail.raw, mail.defects) for mail in mails] == [(MAIL, ("cut_off",))]
    (reject,) = read(put(tmp_path / "2.emlx", b"9\n\n\n\n\n"))[1]
    assert reject.reason == "empty file"


def test_thunderbirds_own_files_are_no_mail(tmp_path: Path) -> None:
    put(tmp_path / "Inbox", LINE + MAIL)
    put(tmp_path / "Inbox.msf", b"// <!-- <mdb:mork")
    put(tmp_path / "Inbox.sbd" / "Family 2.0", LINE + MAIL)
    put(tmp_path / "Drafts", b"")
    put(tmp_path / "popstate.dat", b"# POP3 State File")
    put(tmp_path / "winmail.dat", b"\x78\x9f\x3e\x22")
    mails, rejects = read(tmp_path)
    assert [mail.folder for mail in mails] == ["Inbox", "Inbox/Family 2.0"]
    assert [Path(reject.path).name for reject in rejects] == ["winmail.dat"]


def test_takeout_in_parts_is_read_from_the_archives_and_from_a_folder_of_them(tmp_path: Path) -> None:
    labels = b"X-Gmail-Labels: Inbox\n"
    for part in (1, 2):
        with zipfile.ZipFile(tmp_path / f"takeout-00{part}.zip", "w") as archive:
            archive.writestr("Takeout/archive_browser.html", "<html></html>")
            archive.writestr("Takeout/Drive/letter.docx", "PK")
            archive.writestr(f"Takeout/Mail/Part-{part}.mbox", (LINE + labels + MAIL + b"\n") * part)
    mails, rejects = read(tmp_path)
    assert [mail.folder for mail in mails] == ["Takeout/Mail/Part-1", "Takeout/Mail/Part-2", "Takeout/Mail/Part-2"]
    assert rejects == []
    assert len(read(tmp_path / "takeout-002.zip")[0]) == 2


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_one_packed_mbox_is_read(tmp_path: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    path = put(tmp_path / f"list.mbox.{suffix}", pack((LINE + MAIL + b"\n") * 3))
    assert folders(path) == [("list", ())] * 3
    assert folders(tmp_path) == [("list", ())] * 3


def test_one_folder_of_the_published_archive_can_be_picked(tmp_path: Path) -> None:
    for owner, folder, number in (("lay-k", "inbox", 1), ("lay-k", "sent", 2), ("lay-ka", "inbox", 3)):
        put(tmp_path / "in" / "maildir" / owner / folder / f"{number}.")
    path = packed(tmp_path / "in", "tar.gz")
    assert len(read(path)[0]) == 3
    assert folders(f"{path}!maildir/lay-k") == [("inbox", ()), ("sent", ())]
    assert folders(Path(f"{path}!maildir/lay-k/sent/")) == [("", ())]
    mails, rejects = read(f"{path}!maildir/skilling-j")
    assert (mails, [reject.reason for reject in rejects]) == ([], ["nothing in it lies in this folder"])
    with pytest.raises(UsageError, match="only an archive or a table"):
        find_source(f"{put(tmp_path / 'a.eml')}!inbox")


def test_a_file_whose_name_has_the_mark_is_meant_as_it_is(tmp_path: Path) -> None:
    assert len(read(put(tmp_path / "hello!world.mbox", LINE + MAIL))[0]) == 1


def test_a_document_in_a_folder_is_one_reject(tmp_path: Path) -> None:
    put(tmp_path / "a.eml")
    with zipfile.ZipFile(tmp_path / "letter.docx", "w") as archive:
        for name in ("[Content_Types].xml", "word/document.xml", "word/styles.xml"):
            archive.writestr(name, "<x/>")
    mails, rejects = read(tmp_path)
    assert (len(mails), [reject.reason for reject in rejects]) == (1, ["not a mail file"])


def test_the_fingerprint_changes_with_what_a_source_holds(tmp_path: Path) -> None:
    one = put(tmp_path / "in" / "a" / "1.eml")
    before = find_source(tmp_path / "in").fingerprint()
    assert find_source(tmp_path / "in").fingerprint() == before
    changes = [lambda: one.rename(one.with_name("2.eml")), lambda: put(one), lambda: put(one, MAIL + b"x"),
               lambda: os.utime(one, (1, 1))]  # fmt: skip
    seen = {before}
    for change in changes:
        change()
        seen.add(find_source(tmp_path / "in").fingerprint())
    assert len(seen) == 5
    box = put(tmp_path / "a.mbox", LINE + MAIL)
    first = find_source(box).fingerprint()
    os.utime(box, (1, 1))
    assert find_source(box).fingerprint() != first


def test_a_source_gives_the_same_items_in_the_same_order_again(tmp_path: Path) -> None:
    make_maildir(tmp_path / "m")
    make_apple(tmp_path / "apple")
    packed(tmp_path / "m", "tar.gz")
    put(tmp_path / "junk.bin", os.urandom(50))
    assert list(read_source(find_source(tmp_path))) == list(read_source(find_source(tmp_path)))
