"""Sets whose inbox it is, when the guess of the import was wrong. Knows nothing of how it is guessed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from inbox_env.email_rows import clean
from inbox_env.emails import Address
from inbox_env.importing.building import SELECT_INBOX_ID, UPDATE_OWNER, write_error
from inbox_env.lock import mailbox_lock, real_path
from inbox_env.migrations import migrate
from inbox_env.store import EmailStore


def set_owner(path: Path, inbox: str, owner: Address) -> None:
    """Make `owner` the owner of the inbox; raises UsageError, CorruptError or ResourceError."""
    path = real_path(path)
    with mailbox_lock(path):
        migrate(path)
        store = EmailStore.open(path)
        try:
            store.info(inbox)  # says which inboxes there are when this is none
        finally:
            store.close()
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                (inbox_id,) = connection.execute(SELECT_INBOX_ID, (clean(inbox),)).fetchone()
                connection.execute(UPDATE_OWNER, (clean(owner.name), clean(owner.email), inbox_id))
        except sqlite3.DatabaseError as error:
            raise write_error(error, path) from error
