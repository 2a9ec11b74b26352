"""Read mail out of zip and tar archives and packed files without unpacking them: nothing is written to disk.

Members are streamed, so that an archive of any size needs little memory. Archives are hostile input: what lies
outside, swells or is no regular file is a reject, and a damaged archive ends with one.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from inbox_env.ingest.contents import read_contents, read_kind, reason_unread
from inbox_env.ingest.files import open_regular, printable
from inbox_env.ingest.names import PACKED_SUFFIXES, doubt_of, is_maildir_file, reason_never_read
from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sniff import SNIFF_BYTES, FileKind, kind_of
from inbox_env.ingest.streams import Capped, GrowthError, Readable, peek

_Item = RawMail | Reject | Skipped
MAX_RATIO = 100
MAX_TOTAL_BYTES = 1_000_000_000_000
_SAMPLE_BYTES = 1 << 22
_SMALL = 1 << 20  # ratios of small members prove nothing
_SWELLS = f"compressed more than {MAX_RATIO} times"
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
_BROKEN_DETAIL = "the archive is damaged or cut off here"
# Documents and programs that are zip files as well: one reject, not one for each member.
_OTHER_ZIPS = frozenset(("[Content_Types].xml", "META-INF/MANIFEST.MF", "mimetype"))


def read_archive(path: Path, name: str, top: PurePosixPath, inside: str = "") -> Iterator[_Item]:
    """Yield the messages of the archive or packed file.

    `name` is what it is called in messages, `top` the folder in the source that its members are in; `inside` picks
    a folder of it, which is the top then.
    """
    where = _Place(name, top, inside)
    try:
        with open_regular(path) as file:
            head, size = file.read(SNIFF_BYTES), path.stat().st_size
            file.seek(0)
            kind = kind_of(head, path.name)
            if kind == "zip":
                yield from _read_zip(file, where)
            elif kind == "tar":
                yield from _read_tar(file, size, where)
            else:
                yield from _read_packed(file, head, size, path.name, where)
    except _BROKEN as error:
        yield Reject(path=name, offset=0, reason=f"{_BROKEN_DETAIL}: {error}"[:200])


def unpacked_size(path: Path, kind: FileKind) -> int:
    """Return about how many bytes of mail the file gives: a zip says so itself, else a sample is unpacked."""
    size = path.stat().st_size
    try:
        with open_regular(path) as file:
            if kind == "zip":
                with zipfile.ZipFile(file) as archive:
                    return sum(member.file_size for member in archive.infolist())
            if kind != "packed":
                return size
            head = file.read(SNIFF_BYTES)
            file.seek(0)
            with _open_packed(file, head) as unpacked:
                sample = len(unpacked.read(_SAMPLE_BYTES))
            return sample if sample < _SAMPLE_BYTES else size * sample // max(1, min(size, file.tell()))
    except _BROKEN:
        return size


class _Place:
    """Where members are in the source, and which of them are wanted."""

    def __init__(self, name: str, top: PurePosixPath, inside: str) -> None:
        self.name, self._top, self.inside = name, top, inside
        self._inside = PurePosixPath(inside)
        self._maildirs: set[PurePosixPath] = set()

    def note(self, member: PurePosixPath) -> None:
        """Remember the Maildirs that were met: what lies in their `tmp` is not delivered yet."""
        if is_maildir_file(member):
            self._maildirs.add(member.parent.parent)

    def of(self, member: str) -> PurePosixPath | None:
        """The member's place in the source; None when it is not wanted."""
        path = _path(member)
        if not path.is_relative_to(self._inside):
            return None
        self.note(path)
        return self._top / path.relative_to(self._inside)

    def reason_never_read(self, member: str) -> str:
        """Why the member is left out whatever is in it, or ""."""
        path = _path(member)
        is_tmp = path.parent.name == "tmp" and path.parent.parent in self._maildirs
        return "not yet delivered" if is_tmp else reason_never_read(path)

    def full(self, member: str) -> str:
        return f"{self.name}!{printable(member)}"


def _read_zip(file: BinaryIO, where: _Place) -> Iterator[_Item]:
    total = 0
    with zipfile.ZipFile(file) as archive:
        if not _OTHER_ZIPS.isdisjoint(archive.namelist()):
            yield Reject(path=where.name, offset=0, reason="not a mail file")
            return
        for member in archive.infolist():
            where.note(PurePosixPath(member.filename))
        for member in archive.infolist():
            place, fault = where.of(member.filename), _name_fault(member.filename)
            if member.is_dir() or (place is None and not fault):
                continue
            name, total = where.full(member.filename), total + member.file_size
            reason = fault or _size_fault(member.file_size, member.compress_size, total)
            if reason or place is None:
                yield Reject(path=name, offset=member.header_offset, reason=reason)
                continue
            if unread := where.reason_never_read(member.filename):
                yield Skipped(unread, member.file_size)
                continue
            try:
                with archive.open(member) as opened:
                    doubt = doubt_of(_path(member.filename))
                    yield from read_contents(opened, name, place, doubt=doubt, num_bytes=member.file_size)
            except (*_BROKEN, NotImplementedError) as error:
                yield Reject(path=name, offset=member.header_offset, reason=f"unreadable member: {error}"[:200])


def _read_tar(stream: Readable, compressed: int, where: _Place) -> Iterator[_Item]:
    """A tar is read as a stream, its members in their order; it ends where it is damaged or swells."""
    total, offset = 0, 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # only read is needed
            for member in archive:
                offset, total = member.offset, total + member.size
                place, name_fault = where.of(member.name), _name_fault(member.name)
                if member.isdir() or (place is None and not name_fault):
                    continue
                size_fault = _size_fault(total, compressed, total)
                reason = name_fault or size_fault
                unread = where.reason_never_read(member.name)
                doubt = doubt_of(_path(member.name))
                opened = archive.extractfile(member) if member.isreg() and not reason else None
                if not reason and (unread or (doubt and opened is None)):
                    yield Skipped(unread or doubt, member.size)
                elif opened is None or place is None:
                    yield Reject(path=where.full(member.name), offset=offset, reason=reason or "not a regular file")
                else:
                    name = where.full(member.name)
                    yield from read_contents(opened, name, place, doubt=doubt, num_bytes=member.size)
                if size_fault:
                    yield Reject(path=where.name, offset=offset, reason="the rest of the archive is not read")
                    return
    except _BROKEN as error:
        yield Reject(path=where.name, offset=offset, reason=f"{_BROKEN_DETAIL}: {error}"[:200])


def _read_packed(file: BinaryIO, head: bytes, size: int, name: str, where: _Place) -> Iterator[_Item]:
    """A packed file is a packed tar, or one packed file of mail such as inbox.mbox.gz."""
    with _open_packed(file, head) as unpacked:
        capped = Capped(unpacked, max(_SMALL, MAX_RATIO * size), _SWELLS)
        inner, reader = peek(capped, SNIFF_BYTES)
        stem = name[: -len(PurePosixPath(name).suffix)] if name.lower().endswith(PACKED_SUFFIXES) else name
        kind = kind_of(inner, stem)
        if kind == "tar":
            yield from _read_tar(reader, size, where)
            return
        place = where.of(stem) if not where.inside else PurePosixPath(stem)
        try:
            unread = reason_unread(kind, inner, doubt_of(PurePosixPath(stem)))
            if unread:
                yield Skipped(unread, size)
            elif place is not None:
                yield from read_kind(kind, inner, reader, where.name, place, select=where.inside)
        except GrowthError:
            yield Reject(path=where.name, offset=0, reason=_SWELLS)


def _open_packed(file: BinaryIO, head: bytes) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if head.startswith(b"\xfd7zXZ") else gzip.GzipFile(fileobj=file)


def _path(member: str) -> PurePosixPath:
    return PurePosixPath(member.replace("\\", "/"))  # some programs on Windows write these


def _name_fault(name: str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_outside = ".." in parts or name.startswith(("/", "\\")) or "\0" in name or name[1:2] == ":"
    return "a member outside the archive's folder" if is_outside else ""


def _size_fault(size: int, compressed: int, total: int) -> str:
    if total > MAX_TOTAL_BYTES:
        return "too large unpacked"
    return _SWELLS if size > _SMALL and size > MAX_RATIO * compressed else ""
