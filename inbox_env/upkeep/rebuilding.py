"""Rebuilds a mailbox file from the mail stored in it: new numbers, threads and search indexes, what is broken left out.

The new file is made beside and put in place; the old one stays as NAME.damaged when anything was lost or odd. Knows
nothing of how damage is found, or of how damaged rows are read.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from inbox_env.database import cause
from inbox_env.durable import sync
from inbox_env.email_rows import clean
from inbox_env.errors import CorruptError
from inbox_env.importing.building import INSERT_SOURCE, SELECT_INBOX_ID
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import migrate
from inbox_env.store import build_inbox
from inbox_env.upkeep.leftovers import next_damaged, remove_leftovers
from inbox_env.upkeep.salvage import FoundInbox, LostMail, Salvage


@dataclass(slots=True)
class Rebuilt:
    """What came of it: mails kept (some of them mended) and lost, and where the old file is when anything was odd.

    `lost` lists the first lost mails of each inbox; `recovered` names the inboxes made for mails of no inbox.
    """

    num_emails: int = 0
    num_lost: int = 0
    num_mended: int = 0
    lost: list[LostMail] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    is_odd: bool = False
    damaged_path: Path | None = field(default=None)


def rebuild(path: Path) -> Rebuilt:
    """Rebuild every inbox of the file; raises CorruptError when not even the list of inboxes can be read."""
    path = real_path(path)
    fresh = path.with_name(path.name + ".rebuilt")
    with mailbox_lock(path):
        migrate(path)
        remove_leftovers(path)
        try:
            result = _rebuild_all(path, fresh)
            _put_in_place(path, fresh, result)
        finally:
            remove_leftovers(path)
    return result


def _rebuild_all(path: Path, fresh: Path) -> Rebuilt:
    result = Rebuilt()
    try:
        with closing(Salvage(path)) as salvage:
            for inbox in salvage.inboxes():
                result.num_emails += build_inbox(
                    fresh, inbox.name, salvage.mails(inbox), owner=inbox.owner, index=inbox.index
                )
                _copy_sources(salvage, inbox, fresh)
                _count(inbox, result)
            missed = max(0, salvage.num_rows() - result.num_emails - result.num_lost)  # of numbers that no inbox has
            result.num_lost, result.is_odd = result.num_lost + missed, result.is_odd or missed > 0
    except sqlite3.DatabaseError as error:
        what, next_step = f"the list of inboxes cannot be read: {cause(error)}", "import the mail again"
        raise CorruptError(37, what, where=str(path), next_step=next_step) from error
    return result


def _count(inbox: FoundInbox, result: Rebuilt) -> None:
    result.num_lost += inbox.num_lost
    result.num_mended += inbox.num_mended
    result.lost += inbox.lost
    result.recovered += [] if inbox.is_listed else [inbox.name]
    result.is_odd = result.is_odd or inbox.is_odd


def _copy_sources(salvage: Salvage, inbox: FoundInbox, fresh: Path) -> None:
    """Keep up to where a mail server was read: its mail need not be fetched again, unless some was lost."""
    with closing(sqlite3.connect(fresh)) as connection, connection:
        (inbox_id,) = connection.execute(SELECT_INBOX_ID, (clean(inbox.name),)).fetchone()
        connection.executemany(INSERT_SOURCE, [(inbox_id, *row) for row in salvage.sources(inbox)])


def _put_in_place(path: Path, fresh: Path, result: Rebuilt) -> None:
    if not fresh.exists():  # no inbox at all: nothing to rebuild
        return
    if result.is_odd:
        result.damaged_path = next_damaged(path)
        result.damaged_path.hardlink_to(path)
    indexes, fresh_indexes = _indexes(path), _indexes(fresh)
    built = [entry.name for entry in fresh_indexes.iterdir()] if fresh_indexes.exists() else []
    for name in built:  # their names are new: the old ones count until the file is replaced
        indexes.mkdir(exist_ok=True)
        (fresh_indexes / name).rename(indexes / name)
    sync(fresh)
    fresh.replace(path)
    sync(path.absolute().parent)
    for old in indexes.iterdir() if indexes.exists() else ():
        if old.name not in built:
            shutil.rmtree(old, ignore_errors=True)


def _indexes(path: Path) -> Path:
    return path.with_name(path.name + ".whoosh")
