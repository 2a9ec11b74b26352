"""Inbox: one inbox of a mailbox file, ready to be searched and read; it can reach no other.

Knows nothing of tools, turns or models.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from inbox_env.emails import Address
from inbox_env.errors import ResourceError
from inbox_env.importing.building import whoosh_directory
from inbox_env.search.base import SearchIndex, SearchQuery, SearchResult
from inbox_env.search.fts5 import Fts5Index
from inbox_env.store import EmailStore, InboxInfo, StoredEmail


class Inbox:
    """One inbox; safe to share between threads.

    It shows the mail that was in it when it was opened: once the inbox is built anew, or forgotten, all methods
    raise ResourceError. What happens to other inboxes of the file does not matter.
    """

    def __init__(self, store: EmailStore, name: str) -> None:
        info = store.info(name)
        self.name = name
        self.owner: Address = info.owner
        self.num_emails = info.num_emails
        self.last_day: date | None = info.last_date.date() if info.last_date else None  # of the newest mail
        self._store = store
        self._generation, self._revision = -1, info.revision
        self._check_unchanged()  # the store may have been opened long ago
        self._index = _open_index(store, info)

    @classmethod
    def open(cls, mailbox: Path, name: str) -> Inbox:
        """Return the inbox `name` of a mailbox file; raises UsageError or CorruptError."""
        return cls(EmailStore.open(mailbox), name)

    def search(
        self, query: SearchQuery, *, as_of: datetime | None, limit: int = 10, snippet_chars: int = 160
    ) -> SearchResult:
        """Return one page of hits; see `SearchIndex`. Raises QueryTooSlow."""
        self._check_unchanged()
        return self._index.search(query, as_of=as_of, limit=limit, snippet_chars=snippet_chars)

    def read(self, ref: int | str, *, as_of: datetime | None) -> StoredEmail | None:
        """Return the mail with this number or Message-ID, or None when it is not visible by `as_of`."""
        self._check_unchanged()
        return self._store.read(self.name, ref, as_of)

    def thread(self, number: int, *, as_of: datetime | None) -> tuple[int, ...]:
        """Return the numbers of the mails that belong together with this one, oldest first, as visible by `as_of`."""
        self._check_unchanged()
        return self._store.thread(self.name, number, as_of)

    def _check_unchanged(self) -> None:
        generation = self._store.database.generation()
        if generation != self._generation:
            if self._store.revision(self.name) != self._revision:
                what = f"the inbox {self.name!r} was changed while it was open"
                raise ResourceError(35, what, where=str(self._store.database.path), next_step="open it again")
            self._generation = generation

    def close(self) -> None:
        """Close the file for all threads."""
        self._store.close()


def _open_index(store: EmailStore, info: InboxInfo) -> SearchIndex:
    if info.index == "fts5":
        return Fts5Index(store.database, info.id)
    from inbox_env.search.whoosh import WhooshIndex  # slow to import and seldom used

    return WhooshIndex(store.database, info.id, whoosh_directory(store.database.path, info.name, info.revision))
