"""Figures of one inbox: how many mails, from when, from whom, in which folders, and what it takes on disk.

One pass over the stored rows. Knows nothing of how they are shown.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbox_env.database import DOCTOR, MAX_EMAILS, Database
from inbox_env.errors import CorruptError
from inbox_env.ingest.records import TOO_LARGE
from inbox_env.search.fts5 import table_name
from inbox_env.store import EmailStore, InboxInfo

SELECT_ROWS = """SELECT sender_email, sent_us IS NULL, thread,
    length(subject) + length(envelope) + length(body), envelope
    FROM mails WHERE id BETWEEN ? AND ?"""
SELECT_FOLDED_IDS = "SELECT count(*) FROM aliases WHERE inbox_id = ?"
# unknown when it is of one source, as of mail that was imported by an older version or not from a source
SELECT_NUM_READ = "SELECT iif(count(*) = count(num_mails), sum(num_mails), NULL) FROM sources WHERE inbox_id = ?"
SELECT_INDEX_BYTES = "SELECT coalesce(sum(length(block)), 0) FROM {table}_data"
NUM_TOP = 10
_CHUNK = 2_000
_SLOW_SECONDS = 300.0  # a pass over everything is meant to take its time


@dataclass(frozen=True, slots=True)
class InboxStats:
    """The figures; each of the lists holds (name, count), most frequent first, at most `NUM_TOP`."""

    inbox: str
    owner: str
    num_emails: int
    num_undated: int
    first_date: datetime | None
    last_date: datetime | None
    num_threads: int
    num_copies: int | None
    num_folded_ids: int
    num_cut: int
    num_attachments: int
    attachment_bytes: int
    text_chars: int
    index_bytes: int
    top_senders: tuple[tuple[str, int], ...]
    top_correspondents: tuple[tuple[str, int], ...]
    top_folders: tuple[tuple[str, int], ...]


def inbox_stats(store: EmailStore, inbox: str) -> InboxStats:
    """Return the figures of one inbox; raises UsageError when there is none of that name, CorruptError for damage.

    `num_copies` mails of the sources are folded into others as their copies, None when that is not known;
    `num_folded_ids` are the further Message-IDs of copies; of `num_cut` mails, too large,
    only the start was imported. Correspondents are those to whom the owner wrote and who wrote to the owner.
    """
    info = store.info(inbox)
    database = Database.open(store.database.path, _SLOW_SECONDS)
    try:
        tally = _Tally(info.owner.email)
        base = info.id * MAX_EMAILS
        for start in range(base + 1, base + info.num_emails + 1, _CHUNK):
            for row in database.rows(SELECT_ROWS, (start, min(start + _CHUNK - 1, base + info.num_emails))):
                tally.add(*row)
        num_read, num_folded_ids = (
            database.rows(statement, (info.id,))[0][0] for statement in (SELECT_NUM_READ, SELECT_FOLDED_IDS)
        )
        num_copies = None if num_read is None else max(0, num_read - info.num_emails)
        return _stats(info, tally, num_copies, num_folded_ids, _index_bytes(database, info))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = "a mail in the mailbox is damaged"
        raise CorruptError(38, what, where=str(database.path), next_step=DOCTOR) from error
    finally:
        database.close()


def _stats(info: InboxInfo, tally: _Tally, num_copies: int | None, num_folded_ids: int, index_bytes: int) -> InboxStats:
    return InboxStats(
        inbox=info.name,
        owner=str(info.owner),
        num_emails=info.num_emails,
        num_undated=tally.num_undated,
        first_date=info.first_date,
        last_date=info.last_date,
        num_threads=len(tally.threads),
        num_copies=num_copies,
        num_folded_ids=num_folded_ids,
        num_cut=tally.num_cut,
        num_attachments=tally.num_attachments,
        attachment_bytes=tally.attachment_bytes,
        text_chars=tally.text_chars,
        index_bytes=index_bytes,
        top_senders=_top(tally.senders),
        top_correspondents=_top(tally.correspondents),
        top_folders=_top(tally.folders),
    )


def _index_bytes(database: Database, info: InboxInfo) -> int:
    if info.index != "fts5":
        return 0
    return int(database.rows(SELECT_INDEX_BYTES.format(table=table_name(info.id)))[0][0])


def _top(counter: Counter[str]) -> tuple[tuple[str, int], ...]:
    counter.pop("", None)
    return tuple(sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:NUM_TOP])


class _Tally:
    """What one pass counts."""

    def __init__(self, owner: str) -> None:
        self.senders: Counter[str] = Counter()
        self.correspondents: Counter[str] = Counter()
        self.folders: Counter[str] = Counter()
        self.threads: set[int] = set()
        self.num_undated = self.num_cut = self.num_attachments = self.attachment_bytes = self.text_chars = 0
        self._owner = owner

    def add(self, sender: str, is_undated: int, thread: int, num_chars: int, envelope_json: str) -> None:
        envelope: dict[str, Any] = json.loads(envelope_json)
        recipients = {person["email"] for field in ("to", "cc", "bcc") for person in envelope.get(field, ())}
        attachments = envelope.get("attachments", ())
        self.senders[sender] += 1
        self.folders.update(envelope.get("folders", ()))
        self.threads.add(thread)
        self.num_undated += is_undated
        self.num_cut += TOO_LARGE in envelope.get("defects", ())
        self.text_chars += num_chars
        self.num_attachments += len(attachments)
        self.attachment_bytes += sum(attachment["size"] for attachment in attachments)
        if sender == self._owner:
            self.correspondents.update(recipients - {self._owner})
        elif self._owner in recipients:
            self.correspondents[sender] += 1
