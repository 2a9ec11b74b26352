"""Read the mail on an IMAP server, folder by folder in UID order, from where an earlier import ended.

Changes nothing there: folders are examined, messages peeked at. Knows nothing of the protocol's words.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from inbox_env.errors import UsageError
from inbox_env.ingest.flags import imap_labels
from inbox_env.ingest.imap_place import FolderState, ImapPlace, ImapState, password_of
from inbox_env.ingest.imap_session import Fetched, examine, fetch, open_session, uids_after
from inbox_env.ingest.maildir import to_message
from inbox_env.ingest.records import KEPT_OF_TOO_LARGE, MAX_MESSAGE_BYTES, TOO_LARGE, RawMail, Reject, Skipped

if TYPE_CHECKING:
    from imap_tools import BaseMailBox

BATCH_MESSAGES, BATCH_BYTES = 100, 8_000_000
SIZES_AT_ONCE = 1_000  # a command names each message
_LEFT_OUT = {"\\junk": "IMAP Junk", "\\trash": "IMAP Trash"}
_COLLECTIONS = frozenset(("\\all", "\\important"))  # Gmail: mail that mostly lies in another folder as well
_NOT_SELECTABLE = frozenset(("\\noselect", "\\nonexistent"))
_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t]*(?:\r?\n[ \t]+)?(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_HEADER_BYTES = 65_536
_JUST_IDS = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"
_log = logging.getLogger(__name__)


class _Folder(NamedTuple):
    name: str
    shown: str
    is_collection: bool = False
    left_out: str = ""


def read_imap(
    place: ImapPlace,
    state: ImapState,
    *,
    include_spam: bool = False,
    expect_bytes: Callable[[int], None] | None = None,
) -> Iterator[RawMail | Reject | Skipped]:
    """Yield the messages that `state` does not know yet, and move it on just before each of them.

    Without a folder in `place`: all of them but junk and trash; of a collection of all mail what no other folder
    has. `expect_bytes` is told how many bytes are to come: the server is asked for the sizes beforehand. Raises
    UpstreamError when the server fails; the state then says where to go on.
    """
    with open_session(place, password_of(place)) as mailbox:
        seen: set[bytes] = set()
        folders = _folders(mailbox, place)
        if expect_bytes is not None:
            wanted = [folder for folder in folders if include_spam or not folder.left_out]
            expect_bytes(sum(_num_bytes(mailbox, folder, state) for folder in wanted))
        for folder in folders:
            if folder.left_out and not include_spam:
                yield from _counted(mailbox, folder)
            else:
                yield from _Reader(mailbox, place, folder, state, seen).read()


class _Reader:
    """Reads one folder."""

    def __init__(
        self, mailbox: BaseMailBox, place: ImapPlace, folder: _Folder, state: ImapState, seen: set[bytes]
    ) -> None:
        self._mailbox, self._folder, self._state, self._seen = mailbox, folder, state, seen
        self._is_named = bool(place.folder)
        self._path = f"{'imaps' if place.is_tls else 'imap'}://{place.host}/{folder.name}"

    def read(self) -> Iterator[RawMail | Reject | Skipped]:
        validity = examine(self._mailbox, self._folder.name)
        if validity is None:
            if self._is_named:
                raise UsageError(59, "the mail server has no such folder", where=self._path,
                                 next_step="leave the folder out to read all of them")  # fmt: skip
            yield Reject(path=self._path, offset=0, reason="the mail server does not open this folder")
            return
        known = self._known(validity)
        uids = uids_after(self._mailbox, known.last_uid)
        for start in range(0, len(uids), BATCH_MESSAGES):
            chunk = uids[start : start + BATCH_MESSAGES]
            yield from self._read_chunk(chunk, known)

    def _known(self, validity: int) -> FolderState:
        known = self._state.folders.get(self._folder.name)
        if known is not None and known.uidvalidity != validity:
            self._state.restarted.append(self._folder.name)
            _log.warning("%s: the server has numbered it anew, it is read from the start", self._path)
            known = None
        if known is None:
            known = self._state.folders[self._folder.name] = FolderState(uidvalidity=validity)
        return known

    def _read_chunk(self, uids: Sequence[int], known: FolderState) -> Iterator[RawMail | Reject | Skipped]:
        sizes = fetch(self._mailbox, uids, "RFC822.SIZE")
        elsewhere = self._elsewhere(uids) if self._folder.is_collection else frozenset()
        for batch in _batches(uids, sizes, elsewhere):
            wanted = [uid for uid in batch if uid not in elsewhere]
            found = fetch(self._mailbox, wanted, "FLAGS " + _body(batch, sizes))
            for uid in batch:
                known.last_uid = uid
                if uid in elsewhere:
                    yield Skipped("in another folder as well", sizes[uid].size if uid in sizes else 0)
                else:
                    yield self._item(uid, found.get(uid), uid in sizes)

    def _item(self, uid: int, found: Fetched | None, is_there: bool) -> RawMail | Reject:
        path = f"{self._path};UID={uid}"
        if found is None or found.data is None:
            reason = "the mail server did not give it" if is_there else "it went away while the folder was read"
            return Reject(path=path, offset=0, reason=reason)
        defects = (TOO_LARGE,) if found.size > MAX_MESSAGE_BYTES else ()
        self._seen.update(_id_hash(found.data))
        return to_message(found.data, path, self._folder.shown, imap_labels(found.flags), defects)

    def _elsewhere(self, uids: Sequence[int]) -> frozenset[int]:
        """The messages of a collection that another folder has given already."""
        found = fetch(self._mailbox, uids, _JUST_IDS)
        return frozenset(uid for uid, one in found.items() if not self._seen.isdisjoint(_id_hash(one.data or b"")))


def _folders(mailbox: BaseMailBox, place: ImapPlace) -> list[_Folder]:
    """The folders to read: collections last, when it is known what the others hold."""
    if place.folder:
        return [_Folder(place.folder, place.folder)]
    found = []
    for info in mailbox.folder.list():
        flags = {flag.lower() for flag in info.flags}
        if flags.isdisjoint(_NOT_SELECTABLE):
            shown = info.name.replace(info.delim, "/") if info.delim not in ("", "NIL") else info.name
            left_out = next((reason for flag, reason in _LEFT_OUT.items() if flag in flags), "")
            found.append(_Folder(info.name, shown, not flags.isdisjoint(_COLLECTIONS), left_out))
    return sorted(found, key=lambda folder: folder.is_collection)


def _num_bytes(mailbox: BaseMailBox, folder: _Folder, state: ImapState) -> int:
    """How much of the folder is not known yet; 0 of one that cannot be opened."""
    validity = examine(mailbox, folder.name)
    if validity is None:
        return 0
    known = state.folders.get(folder.name)
    last_uid = known.last_uid if known is not None and known.uidvalidity == validity else 0
    uids = uids_after(mailbox, last_uid)
    chunks = (uids[start : start + SIZES_AT_ONCE] for start in range(0, len(uids), SIZES_AT_ONCE))
    return sum(one.size for chunk in chunks for one in fetch(mailbox, chunk, "RFC822.SIZE").values())


def _counted(mailbox: BaseMailBox, folder: _Folder) -> Iterator[Skipped]:
    for _ in range(mailbox.folder.status(folder.name, ["MESSAGES"]).get("MESSAGES", 0)):
        yield Skipped(folder.left_out)


def _batches(uids: Sequence[int], sizes: dict[int, Fetched], elsewhere: frozenset[int]) -> Iterator[list[int]]:
    """Part the messages so that one answer of the server stays small; one too large to keep comes by itself."""
    batch: list[int] = []
    num_bytes = 0
    for uid in uids:
        size = sizes[uid].size if uid in sizes and uid not in elsewhere else 0
        if batch and (num_bytes + size > BATCH_BYTES):
            yield batch
            batch, num_bytes = [], 0
        batch.append(uid)
        num_bytes += size
    if batch:
        yield batch


def _body(batch: Sequence[int], sizes: dict[int, Fetched]) -> str:
    is_too_large = len(batch) == 1 and batch[0] in sizes and sizes[batch[0]].size > MAX_MESSAGE_BYTES
    return f"RFC822.SIZE BODY.PEEK[]<0.{KEPT_OF_TOO_LARGE}>" if is_too_large else "RFC822.SIZE BODY.PEEK[]"


def _id_hash(data: bytes) -> list[bytes]:
    """A short hash of the Message-ID, for mailboxes of any size."""
    found = _MESSAGE_ID.search(data, 0, _HEADER_BYTES)
    return [hashlib.blake2b(found[1], digest_size=8).digest()] if found else []
