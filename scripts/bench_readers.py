"""Readers of one mail by its Message-ID to compare with: ART-E's two statements, and the standard library's `mailbox`.

Each gives what a reader of mail is shown: sender, recipients, subject and text. Knows nothing of timing.
"""

from __future__ import annotations

import email
import mailbox
import sqlite3
from collections.abc import Iterator
from email.header import Header
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from inbox_env.emails import Email
from inbox_env.inbox import Inbox
from inbox_env.store import EmailStore
from scripts.bench_mailbox import ensure

SELECT_EMAIL = "SELECT id, message_id, date, subject, from_address, body FROM emails WHERE message_id = ?"
SELECT_RECIPIENTS = "SELECT recipient_address FROM recipients WHERE email_id = ? AND recipient_type <> 'owner'"


class ReadMail(NamedTuple):
    """One mail as a reader gave it: addresses only, recipients in any order."""

    sender: str
    recipients: frozenset[str]
    subject: str
    body: str


class Reader(Protocol):
    """Opened mail of one inbox."""

    def read(self, message_id: str) -> ReadMail:
        """Return the mail."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class OwnReader:
    """This project's store."""

    def __init__(self, path: Path, inbox: str) -> None:
        self._inbox = Inbox.open(path, inbox)

    def read(self, message_id: str) -> ReadMail:
        """Return the mail; raises KeyError when it is not there."""
        stored = self._inbox.read(message_id, as_of=None)
        if stored is None:
            raise KeyError(message_id)
        return _shown(stored.email)

    def close(self) -> None:
        """Close the file."""
        self._inbox.close()


class ArteReader:
    """ART-E's tables: the mail by its id, then its recipients."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def read(self, message_id: str) -> ReadMail:
        """Return the mail."""
        number, _, _, subject, sender, body = self._db.execute(SELECT_EMAIL, (message_id,)).fetchone()
        recipients = self._db.execute(SELECT_RECIPIENTS, (number,)).fetchall()
        return ReadMail(sender, frozenset(row[0] for row in recipients), subject, body.rstrip("\n"))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class MailboxReader:
    """The standard library: an mbox that is indexed when it is opened, whose mails are parsed when they are read."""

    def __init__(self, path: Path, places: dict[str, int]) -> None:
        self._mbox: Any = mailbox.mbox(path, factory=_parse, create=False)  # type: ignore[arg-type]  # any message
        self._places = places
        len(self._mbox)  # it reads the whole file to find its mails

    def read(self, message_id: str) -> ReadMail:
        """Return the mail; an empty one where the standard library raises, as it does on odd addresses."""
        try:
            return self._shown(self._mbox[self._places[message_id]])
        except (AttributeError, IndexError, TypeError, ValueError):
            return ReadMail("", frozenset(), "", "")

    def _shown(self, found: EmailMessage) -> ReadMail:
        fields = [found[name] for name in ("To", "Cc", "Bcc") if found[name] is not None]
        recipients = frozenset(one.addr_spec for field in fields for one in field.addresses)
        sender = next((one.addr_spec for one in found["From"].addresses), "")
        return ReadMail(sender, recipients, found["Subject"], _unescaped(found.get_content()))

    def close(self) -> None:
        """Close the file."""
        self._mbox.close()


def build_mbox(path: Path, inbox: str, folder: Path) -> tuple[Path, dict[str, int]]:
    """Return an mbox file of an inbox's mails, made unless it is there, and the place of each Message-ID in it."""
    store = EmailStore.open(path)
    emails = [stored.email for stored in store.emails(inbox)]
    store.close()

    def build(partial: Path) -> None:
        with partial.open("wb") as file:
            file.writelines(_written(emails))

    made = ensure(folder / f"{path.stem}-{inbox}.mbox", build)
    return made, {one.message_id: place for place, one in enumerate(emails)}


def _written(emails: list[Email]) -> Iterator[bytes]:
    for one in emails:
        fields = [("Message-ID", one.message_id), ("Subject", Header(one.subject).encode()), ("From", one.sender.email)]
        people = (("To", one.to), ("Cc", one.cc), ("Bcc", one.bcc))
        fields += [(name, ",\n ".join(person.email for person in who)) for name, who in people if who]
        head = "".join(f"{name}: {value}\n" for name, value in fields)
        text = f"{head}Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{one.body}\n"
        text = text.replace("\nFrom ", "\n>From ")
        yield f"From x Mon Jan  1 00:00:00 2001\n{text}\n".encode("utf-8", "replace")


def _unescaped(text: str) -> str:
    return text.rstrip("\n").replace("\n>From ", "\nFrom ")


def _parse(file: IO[bytes]) -> EmailMessage:
    return email.message_from_binary_file(file, policy=default)


def _shown(one: Email) -> ReadMail:
    recipients = frozenset(person.email for person in one.recipients)
    return ReadMail(one.sender.email, recipients, one.subject, one.body.rstrip("\n"))
