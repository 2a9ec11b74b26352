"""What must happen when the mail that is read is bad: faults F01-F06, F17 and F18 at the sources."""

from __future__ import annotations

import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from random import Random

import pytest

from inbox_env.errors import CorruptError, ExitCode, UsageError
from inbox_env.ingest import maildir, mbox_split
from inbox_env.ingest.parse import parse_email
from inbox_env.ingest.records import MAX_MESSAGE_BYTES, RawMail, Reject, Skipped
from inbox_env.ingest.sources import find_source, read_source
from tests.faults.bad_mail import LINE, MIB, box, count, mail, put, read

TAKEOUT_LINE = b"From 1718395824376789@xxx Sat Nov 22 00:12:45 +0000 2014\r\n"
LABELS = (
    "=?UTF-8?Q?Messages_archiv=C3=A9s,Ouvert,Cat=C3=A9gorie=C2=A0:_E-mails_?=\r\n"
    ' =?UTF-8?Q?personnels,"Culture,_associations,_=C3=A9v=C3=A9nements"?='
)
BOM = b"\xef\xbb\xbf"


def test_f01_quoted_and_forwarded_separators_are_text_and_the_count_is_the_truth(tmp_path: Path) -> None:
    quoting = [
        b"He wrote:\n\nFrom here on all is well.\n",
        b"From the start\nFrom ann@x.org Mon Apr 18 14:26:12 2022\nit went well\n",
        b"-----\n\nFrom bob Tue, 5 Mar 2002 10:15:00, he said:\n\nwords\n",
        b"> From ann@x.org Mon Apr 18 14:26:12 2022\n> Subject: x\n",
        b">From ann@x.org Mon Apr 18 14:26:12 2022\nSubject: x\nFrom: y\n",
    ]
    path = put(tmp_path / "a.mbox", box(*(mail(number, body) for number, body in enumerate(quoting)), mail(9)))
    mails, rejects = read(path)
    assert [one.raw.split(b"\n")[1] for one in mails] == [b"Subject: s%d" % n for n in (0, 1, 2, 3, 4, 9)]
    assert rejects == []
    assert [n for n, one in enumerate(mails) if "unescaped_from_line" in one.defects] == [1, 2]


@pytest.mark.parametrize(
    "junk",
    [b"\0" * 300_000, BOM, BOM + b"\r\n\r\n", b"\0\n\0\n", b"junk\n" * 60_000, b"\xff" * 999 + b"\n"],
    ids=range(6),
)
def test_f02_whatever_stands_before_the_first_mail_is_one_reject(tmp_path: Path, junk: bytes) -> None:
    mails, rejects = read(put(tmp_path / "a.mbox", junk + box(mail(1), mail(2))))
    assert [one.offset for one in mails] == [len(junk), len(junk) + len(box(mail(1)))]
    assert [(reject.offset, reject.reason) for reject in rejects] == [(0, "junk before the first message")]


def test_f02_a_file_of_nothing_is_said(tmp_path: Path) -> None:
    for name, data in (
        ("a.mbox", b"\0" * 99_999),
        ("b.mbox", b"\n\n\n"),
        ("c.mbox", b"text\n" * 99),
        ("d", b"\xef\xbb\xbf"),
        ("e.mbox", Random(1).randbytes(99_999)),
        ("f.eml", b"\xef\xbb\xbf\0"),
    ):
        with pytest.raises(CorruptError, match="damaged: no mail in it from byte 0") as caught:
            find_source(put(tmp_path / name, data))
        assert caught.value.exit_code == ExitCode.CORRUPT
    with pytest.raises(UsageError, match="not a mailbox"):
        find_source(put(tmp_path / "notes.txt", b"text\n" * 99))


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_f03_cut_anywhere_every_whole_mail_is_in_and_the_tail_is_marked(tmp_path: Path, line_end: bytes) -> None:
    data = box(mail(1), mail(2), mail(3, b"one\ntwo\n")).replace(b"\n", line_end)
    starts = [data.find(b"From ann@"), data.find(b"From ann@", 9), data.rfind(b"From ann@")]
    for length in range(starts[2] + len(LINE) + 40, len(data)):
        mails, rejects = read(put(tmp_path / "a.mbox", data[:length]))
        assert [one.offset for one in mails] == starts
        assert rejects == []
        assert all(one.defects == () for one in mails[:2])
        assert ("no_final_newline" in mails[2].defects) == (not data[:length].endswith(b"\n"))


def test_f03_mixed_line_ends_within_and_between_mails(tmp_path: Path) -> None:
    data = box(mail(1)) + box(mail(2)).replace(b"\n", b"\r\n") + box(mail(3, b"a\r\nb\nc\r\n")) + LINE + mail(4)
    mails, rejects = read(put(tmp_path / "a.mbox", data))
    assert [parse_email(one.raw).message_id for one in mails] == [f"<{n}@x.org>" for n in (1, 2, 3, 4)]
    assert rejects == []


def test_f04_takeout_leaves_out_spam_and_trash_counts_them_and_reads_them_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "All mail Including Spam and Trash.mbox"
    labels = ["=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Ouvert?=", "Spam,Non lus", "Corbeille,Ouvert", LABELS]
    path.write_bytes(
        b"".join(
            TAKEOUT_LINE
            + f"X-GM-THRID: {n}\r\nX-Gmail-Labels: {value}\r\nFrom: a@x.org\r\n\r\nbody {n}\r\n\r\n".encode()
            for n, value in enumerate(labels)
        )
    )
    items = list(read_source(find_source(path)))
    assert [item.reason for item in items if isinstance(item, Skipped)] == ["Gmail Spam", "Gmail Trash"]
    assert all(item.num_bytes > 50 for item in items if isinstance(item, Skipped))
    folders = [parse_email(item.raw, folder=item.folder).folders for item in items if isinstance(item, RawMail)]
    assert folders == [
        ("Boîte de réception",),
        ("Messages archivés", "Catégorie : E-mails personnels", "Culture, associations, événements"),
    ]
    assert all(isinstance(item, RawMail) for item in read_source(find_source(path), include_spam=True))


@pytest.mark.slow
def test_f05_a_sparse_mbox_of_two_gigabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    with path.open("wb") as file:
        for number in range(3):
            file.write(box(mail(number), mail(number + 10)))
            file.seek(800 * MIB, os.SEEK_CUR)
        file.write(box(mail(99)))
    assert path.stat().st_size > 2_000 * MIB
    mails, rejects, _, peak = count(path)
    assert (mails, rejects) == (7, 0)
    assert peak <= 300


@pytest.mark.slow
@pytest.mark.parametrize("form", ["mbox", "zip", "tgz"])
def test_f05_a_large_takeout_is_streamed_from_its_archive(tmp_path: Path, form: str) -> None:
    """400 MB unpacked in one member: more than may be in memory."""
    part = (b"X-Gmail-Labels: Inbox\n" + mail(1, os.urandom(3_000).hex().encode() + b"\n")) * 1
    data, num_mails = box(*[part] * 1_000), 64
    path = tmp_path / f"a.{form}"
    if form == "mbox":
        with path.open("wb") as file:
            file.writelines([data] * num_mails)
    elif form == "zip":
        packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        with packed, packed.open("Takeout/Mail/All mail.mbox", "w") as member:
            member.writelines([data] * num_mails)
    else:
        whole = tmp_path / "whole"
        with whole.open("wb") as file:
            file.writelines([data] * num_mails)
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            tar.add(whole, "Takeout/Mail/All mail.mbox")
    mails, rejects, _, peak = count(path)
    assert (mails, rejects) == (num_mails * 1_000, 0)
    assert peak <= 150


def test_f05_a_member_of_an_archive_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    part = box(*[mail(1, os.urandom(2_000).hex().encode() + b"\n")] * 500)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed, packed.open("a.mbox", "w") as member:
        member.writelines([part] * 100)
    mails, rejects, _, peak = count(path)
    assert (mails, rejects) == (50_000, 0)
    assert peak <= 150, "the member alone has 200 MiB"


@pytest.mark.slow
def test_f06_a_message_of_two_hundred_megabytes_keeps_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    with path.open("wb") as file:
        file.write(box(mail(1)) + LINE + mail(2, b"first text\n"))
        for _ in range(200):
            file.write(b"QUJD" * 19 + b"\n" + b"x" * (MIB - 78) + b"\n")
        file.write(b"\n" + box(mail(3)))
    mails, rejects, _, peak = count(path)
    assert (mails, rejects) == (3, 0)
    assert peak <= 300


@pytest.mark.parametrize("form", ["mbox", "eml", "emlx", "zip", "cur"])
def test_f06_what_is_too_large_keeps_its_start_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for module in (mbox_split, maildir):
        monkeypatch.setattr(module, "MAX_MESSAGE_BYTES", 50_000)
        monkeypatch.setattr(module, "KEPT_OF_TOO_LARGE", 1_000)
    monkeypatch.setattr(mbox_split, "CHUNK_BYTES", 10_000)
    assert MAX_MESSAGE_BYTES > 50_000
    large = mail(2, b"first text\n" + b"y" * 79 * 2_000)
    if form == "mbox":
        path = put(tmp_path / "a.mbox", box(mail(1), large, mail(3)))
    elif form == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("a.eml", large)
    elif form == "cur":
        path = put(tmp_path / "cur" / "1.x:2,", large).parent.parent
    else:
        prefix = b"%d\n" % len(large) if form == "emlx" else b""
        path = put(tmp_path / f"a.{form}", prefix + large)
    mails, rejects = read(path)
    (found,) = [one for one in mails if "too_large" in one.defects]
    assert found.raw == large[: len(found.raw)]
    assert 900 <= len(found.raw) <= 1_000
    assert (len(mails), rejects) == (3 if form == "mbox" else 1, [])


def test_f17_whatever_is_in_a_folder_is_mail_or_reject_and_nothing_blocks(tmp_path: Path) -> None:
    top = tmp_path / "mail"
    for state in ("cur", "sub", "x.mbox"):
        put(top / state / "1.x", mail(1))
        os.mkfifo(top / state / "pipe")
        (top / state / "passwd").symlink_to("/etc/passwd")
        (top / state / "loop").symlink_to(top)
        (top / state / "self").symlink_to(top / state / "self")
    started = time.monotonic()
    mails, rejects = read(top)
    assert time.monotonic() - started < 5
    assert len(mails) == 3
    assert sorted(Path(reject.path).name for reject in rejects) == sorted(["pipe", "passwd", "loop", "self"] * 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read anything")
def test_f17_what_may_not_be_read_is_a_reject(tmp_path: Path) -> None:
    put(tmp_path / "a.eml", mail(1)).chmod(0)
    (tmp_path / "closed").mkdir(0)
    assert len(read(tmp_path)[1]) == 2


def test_f17_mail_that_is_moved_while_it_is_read_is_a_mail_or_a_reject(tmp_path: Path) -> None:
    """Another program marks and deletes mail all the time; nothing that stays is missed."""
    for number in range(300):
        put(tmp_path / "cur" / f"{number}.x:2,", mail(number))
    stop = threading.Event()

    def move() -> None:
        for number in range(0, 300, 3):
            if stop.is_set():
                return
            (tmp_path / "cur" / f"{number}.x:2,").rename(tmp_path / "cur" / f"{number}.x:2,S")

    items = read_source(find_source(tmp_path))
    got = [next(items)]
    mover = threading.Thread(target=move)
    mover.start()
    got += list(items)
    stop.set()
    mover.join()
    found = {parse_email(item.raw).message_id for item in got if isinstance(item, RawMail)}
    assert {f"<{number}@x.org>" for number in range(300) if number % 3} <= found
    assert len(got) == 300
    assert {item.reason for item in got if isinstance(item, Reject)} <= {"No such file or directory"}


def test_f18_names_that_are_no_text_and_thousands_of_folders(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9/\xff\xfe.eml"
    put(Path(os.fsdecode(odd)), mail(1, b"caf\xe9\n"))
    for number in range(3_000):
        put(tmp_path / f"d{number % 10}" / f"e{number}" / "1.", mail(number))
    mails, rejects = read(tmp_path)
    assert (len(mails), rejects) == (3_001, [])
    (found,) = [one for one in mails if one.path.startswith("hex:")]
    assert found.path == f"hex:{odd.hex()}"
    assert found.folder == "caf\ufffd"
    assert all(one.folder.encode("utf-8") for one in mails)
