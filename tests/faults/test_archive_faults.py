"""What must happen when an archive of mail is bad: fault F19."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from inbox_env.errors import UsageError
from inbox_env.ingest import archive
from tests.faults.bad_mail import MIB, box, mail, put, read


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("name", ["../a.eml", "/a.eml", "x/../../a.eml", "C:\\a.eml", "..\\a.eml"])
def test_f19_a_member_outside_is_a_reject_in_zip_and_tar(tmp_path: Path, name: str) -> None:
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as packed:
        for each in (name, "good.eml"):
            info = tarfile.TarInfo(each)
            info.size = len(mail(1))
            packed.addfile(info, io.BytesIO(mail(1)))
    for path in (zip_of(tmp_path / "a.zip", {name: mail(1), "good.eml": mail(2)}), tar):
        mails, rejects = read(path)
        assert (len(mails), [reject.reason for reject in rejects]) == (1, ["a member outside the archive's folder"])


def test_f19_bombs_are_refused_before_they_swell(tmp_path: Path) -> None:
    zeros = b"\0" * 40 * MIB
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as packed:
        for name, data in (("good.eml", mail(1)), ("bomb.mbox", zeros), ("late.eml", mail(2))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    bombs = [
        zip_of(tmp_path / "a.zip", {"good.eml": mail(1), "bomb.mbox": zeros}),
        put(tmp_path / "b.tar.gz", gzip.compress(tar.read_bytes())),
        put(tmp_path / "c.mbox.gz", gzip.compress(box(mail(1)) + zeros)),
    ]
    for path in bombs:
        mails, rejects = read(path)
        assert len(mails) <= 1
        assert rejects[0].reason == "compressed more than 100 times"
    assert [reject.reason for reject in read(bombs[1])[1]][1:] == ["the rest of the archive is not read"]


def test_f19_the_total_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", len(mail(1)) + 5)
    _, rejects = read(zip_of(tmp_path / "a.zip", {"a.eml": mail(1), "b.eml": mail(2)}))
    assert [reject.reason for reject in rejects] == ["too large unpacked"]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "mbox.gz"])
def test_f19_an_archive_cut_or_damaged_anywhere_ends_with_a_reject(tmp_path: Path, form: str) -> None:
    members = {f"{number}.eml": mail(number, os.urandom(400)) for number in range(5)}
    path = tmp_path / f"a.{form}"
    if form == "zip":
        zip_of(path, members)
    elif form == "mbox.gz":
        path.write_bytes(gzip.compress(box(*members.values())))
    else:
        with tarfile.open(path, "w:gz" if form.endswith("gz") else "w") as packed:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    whole = path.read_bytes()
    content = whole[: whole.rfind(b"body") + 700] if form == "tar" else whole
    for length in range(600, len(content) - 600, 97):
        path.write_bytes(whole[:length])
        try:
            mails, rejects = read(path)
        except UsageError:
            continue  # nothing at all could be made of it
        assert rejects or form == "tar"
        assert len(mails) < 5 or form == "mbox.gz"
    for position in range(40, len(whole) - 40, 61):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        read(path)


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_f19_reading_writes_nothing_and_leaves_no_file_open(tmp_path: Path) -> None:
    zip_of(tmp_path / "a.zip", {"a.mbox": box(mail(1), mail(2)), "b.eml": mail(3)})
    before, num_open = sorted(tmp_path.rglob("*")), num_open_files()
    assert len(read(tmp_path)[0]) == 3
    assert sorted(tmp_path.rglob("*")) == before
    assert num_open_files() == num_open
