"""Read mail out of .zip and .tar(.gz) files without unpacking them: nothing is ever written to disk.

Archives are hostile input: members are bounded in size, ratio and number, and odd ones are rejects.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from inbox_env.ingest.files import folder_name, printable
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.records import RawMail, Reject, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, kind_of

MAX_RATIO = 100
MAX_MEMBER_BYTES = 2_000_000_000
MAX_TOTAL_BYTES = 20_000_000_000
_SMALL = 1 << 20  # ratios of small members prove nothing
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
_BROKEN_DETAIL = "the archive is damaged or cut off here"


def read_zip(path: Path) -> Iterator[RawMail | Reject]:
    """Yield the messages of the zip file's members."""
    total = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = f"{printable(path)}!{printable(member.filename)}"
            if member.is_dir():
                continue
            total += member.file_size
            reason = _name_fault(member.filename) or _size_fault(member.file_size, member.compress_size, total)
            if reason:
                yield Reject(path=name, offset=member.header_offset, reason=reason)
                continue
            try:
                with archive.open(member) as file:
                    data = file.read(member.file_size + 1)
            except (*_BROKEN, NotImplementedError) as error:
                yield Reject(path=name, offset=member.header_offset, reason=f"unreadable member: {error}"[:200])
                continue
            yield from _read_member(data, name, PurePosixPath(member.filename))


def read_tar(path: Path) -> Iterator[RawMail | Reject]:
    """Yield the messages of the tar file's members, read as a stream; a cut-off archive ends with a reject."""
    total, compressed, offset = 0, path.stat().st_size, 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                offset = member.offset
                total += member.size
                if member.isdir():
                    continue
                name = f"{printable(path)}!{printable(member.name)}"
                reason = _name_fault(member.name) or _size_fault(total, compressed, total)
                file = archive.extractfile(member) if member.isreg() and not reason else None
                if file is None:
                    yield Reject(path=name, offset=offset, reason=reason or "not a regular file")
                    continue
                yield from _read_member(file.read(), name, PurePosixPath(member.name))
    except _BROKEN as error:
        reason = f"{_BROKEN_DETAIL}: {error}"[:200]
        yield Reject(path=printable(path), offset=offset, reason=reason)


def _name_fault(name: str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_outside = ".." in parts or name.startswith(("/", "\\")) or "\0" in name or name[1:2] == ":"
    return "a member outside the archive's folder" if is_outside else ""


def _size_fault(size: int, compressed: int, total: int) -> str:
    if size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
        return "too large unpacked"
    return f"compressed more than {MAX_RATIO} times" if size > _SMALL and size > MAX_RATIO * compressed else ""


def _read_member(data: bytes, name: str, inside: PurePosixPath) -> Iterator[RawMail | Reject]:
    if inside.name.startswith(".") or not data:
        return
    kind = kind_of(data[:SNIFF_BYTES], inside.name)
    if kind == "mbox":
        yield from read_mbox(io.BytesIO(data), name, folder_name(Path(inside.with_suffix(""))))
    elif kind == "eml":
        yield RawMail(data, folder_name(Path(inside.parent)), name)
    else:
        yield Reject(path=name, offset=0, reason="not a mail file", sha256=digest(data))
