"""Where mail comes from: finds out what a path or address names and yields its raw messages in a stable order.

The one door to the readers. Knows nothing of MIME or of the store.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from inbox_env.errors import CorruptError, UsageError
from inbox_env.ingest.archive import read_archive, unpacked_size
from inbox_env.ingest.contents import read_kind
from inbox_env.ingest.files import folder_digest, open_regular, printable, reason_of, regular_sizes
from inbox_env.ingest.imap import read_imap
from inbox_env.ingest.imap_place import ImapPlace, ImapState, is_imap_address, parse_imap_address
from inbox_env.ingest.left_out import reason_left_out
from inbox_env.ingest.names import has_mail_suffix, place_of_source
from inbox_env.ingest.records import RawMail, Reject, Skipped, digest
from inbox_env.ingest.sniff import SNIFF_BYTES, FileKind, foreign_reason, kind_of
from inbox_env.ingest.tables import read_parquet
from inbox_env.ingest.tree import read_tree

_NEXT_STEP = "give an mbox, a Maildir, a folder of mail files, an .eml file, an archive of these or imaps://you@host"
_SERVERS = "of mail servers only imaps://you@host and imaps://you@host/Folder are supported"
_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]+):/")  # one slash: a path has swallowed the other
_SELECTABLE = ("zip", "tar", "packed", "csv", "jsonl", "parquet")
_BLANK = b"\xef\xbb\xbf\0 \t\r\n"
SourceKind = FileKind | Literal["folder", "imap"]
Item = RawMail | Reject | Skipped


@dataclass(frozen=True, slots=True)
class Source:
    """A path that holds mail: what it is, and how many bytes of mail it gives (of a packed one about).

    `inside` is the folder that is meant of an archive or table ("archive.tar.gz!maildir/lay-k"). Of a mailbox on a
    `server` the size is not known: `num_bytes` is 0.
    """

    path: Path
    kind: SourceKind
    num_bytes: int
    inside: str = ""
    server: ImapPlace | None = None

    @property
    def name(self) -> str:
        """What the user called it, printable."""
        if self.server is not None:
            return self.server.name
        return printable(self.path) + (f"!{self.inside}" if self.inside else "")

    def fingerprint(self, is_left_out: Callable[[str], bool] = lambda _: False) -> str:
        """Return a hash that changes when what the source holds changes: by places, sizes and times, not contents.

        Files that are left out do not count.

        Of a mailbox on a server it stays the same: `ImapState` says what was read of it.
        """
        if self.server is not None:
            return digest(repr((self.server.user, self.server.host, self.server.folder)).encode())
        if self.kind == "folder":
            return digest(repr((self.name, folder_digest(self.path, is_left_out))).encode())
        found = self.path.stat()
        return digest(repr((self.name, self.kind, found.st_size, found.st_mtime_ns)).encode())


def find_source(path: Path | str) -> Source:
    """Return what the path or the address of a mail server names; raises UsageError when that is no mail,
    CorruptError when it should be."""
    if is_imap_address(str(path)):
        server = parse_imap_address(str(path))
        return Source(Path(server.name), "imap", 0, server=server)
    file, inside = _split_inside(Path(path))
    where = printable(file)
    try:
        real = file.resolve(strict=True)  # a link that the user names is meant; links inside are not followed
        found = real.stat()
        if stat.S_ISDIR(found.st_mode):
            return Source(real, "folder", sum(regular_sizes(real)))
        with open_regular(real) as opened:
            head = opened.read(SNIFF_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        if scheme := _SCHEME.match(where):  # no more of it is shown: it may hold a password
            raise UsageError(50, f"no mail is read from {scheme[1]}://", next_step=_SERVERS) from error
        raise UsageError(50, "no such file or folder", where=where, next_step=_NEXT_STEP) from error
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: a NUL in it
        reason = getattr(error, "strerror", None) or error  # OSError's own text names the path once more
        raise UsageError(51, f"cannot read mail: {reason}", where=where, next_step="check its permissions") from error
    if not head:
        raise UsageError(52, "the file is empty", where=where, next_step=_NEXT_STEP)
    kind = kind_of(head, real.name)
    if kind is None and foreign_reason(head):
        what, _, next_step = foreign_reason(head).partition(": ")
        raise UsageError(53, f"not a mailbox but {what}", where=where, next_step=next_step)
    num_bytes = unpacked_size(real, kind) if kind in ("zip", "packed") else found.st_size
    source = Source(real, kind or "mbox", num_bytes, inside)
    _check(source, kind, where)
    return source


def read_source(
    source: Source,
    *,
    include_spam: bool = False,
    imap_state: ImapState | None = None,
    expect_bytes: Callable[[int], None] | None = None,
) -> Iterator[Item]:
    """Yield everything the source holds, each thing exactly once: a message, or a reject saying why not.

    What lies in spam and trash is `Skipped` unless `include_spam`. Of a mailbox on a server only what `imap_state`
    does not know yet is read, and that is moved on with each message; raises UpstreamError when the server fails.
    `expect_bytes` is told first how many bytes the server has to give.
    """
    is_empty = True
    if source.server is not None:
        state = imap_state if imap_state is not None else ImapState()
        items: Iterator[Item] = read_imap(source.server, state, include_spam=include_spam, expect_bytes=expect_bytes)
    else:
        items = _read(source)
    for item in items:
        is_empty = False
        reason = "" if include_spam or not isinstance(item, RawMail) else reason_left_out(item.raw)
        yield Skipped(reason, len(item.raw)) if reason and isinstance(item, RawMail) else item
    if is_empty and source.kind not in ("folder", "imap"):
        reason = "nothing in it lies in this folder" if source.inside else "no mail in it"
        yield Reject(path=source.name, offset=0, reason=reason)


def _read(source: Source) -> Iterator[Item]:
    path, kind = source.path, source.kind
    if kind == "folder":
        yield from read_tree(path)
    elif kind == "parquet":
        yield from read_parquet(path, source.inside)
    elif kind in ("zip", "tar", "packed"):
        yield from read_archive(path, printable(path), PurePosixPath(), source.inside)
    elif kind != "imap":
        try:
            with open_regular(path) as file:
                head = file.read(SNIFF_BYTES)
                file.seek(0)
                place = place_of_source(path.parent) / path.name
                yield from read_kind(kind, head, file, printable(path), place, select=source.inside)
        except OSError as error:
            yield Reject(path=printable(path), offset=0, reason=reason_of(error))


def _split_inside(path: Path) -> tuple[Path, str]:
    """Part "archive.zip!folder" into file and folder; a file whose own name has a "!" is meant as it is."""
    text = str(path)
    if "!" not in text or path.exists():
        return path, ""
    for position, char in enumerate(text):
        if char == "!" and Path(text[:position]).is_file():
            return Path(text[:position]), text[position + 1 :].strip("/")
    return path, ""


def _check(source: Source, kind: FileKind | None, where: str) -> None:
    """Raise for a file that holds no mail or of which no folder can be picked.

    It is CorruptError when it should hold mail by its name or holds nothing but NULs and space, else UsageError.
    """
    if source.inside and kind not in _SELECTABLE:
        raise UsageError(56, "only an archive or a table has folders inside", where=where,
                         next_step='leave out the "!" and what follows')  # fmt: skip
    is_mail = kind is not None and (kind != "mbox" or any(isinstance(item, RawMail) for item in _read(source)))
    if is_mail:
        return
    with open_regular(source.path) as file:
        is_blank = not file.read(SNIFF_BYTES).strip(_BLANK)
    if is_blank or has_mail_suffix(source.path.name):
        raise CorruptError(53, "not a mailbox, or damaged: no mail in it from byte 0 on", where=where,
                           next_step="see that it was copied or downloaded whole")  # fmt: skip
    raise UsageError(53, "not a mailbox: no mail in it from byte 0 on", where=where, next_step=_NEXT_STEP)
