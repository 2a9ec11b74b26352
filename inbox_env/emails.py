"""What an email is here: frozen values, made by `ingest` or `synthetic`, kept by `store`.

Knows nothing of files, databases or models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox address; `name` may be empty, `email` is lower case and may be empty when unreadable."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name and self.email else self.name or self.email


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is listed, not shown: file name, MIME type and decoded size in bytes.

    `text` is what can be read of it, where the import was asked for that.
    """

    name: str
    content_type: str
    size: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """One message, decoded: `date` is timezone-aware UTC or None, `body` is plain text with "\\n" line ends."""

    message_id: str
    date: datetime | None
    sender: Address
    to: tuple[Address, ...]
    subject: str
    body: str
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    defects: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # Message-IDs of the copies that were folded into this mail
    html: str = ""  # as it was sent, not made safe; "" where there is none or the import was not asked to keep it

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everyone it went to: To, Cc and Bcc in that order."""
        return self.to + self.cc + self.bcc

    def content_key(self) -> str:
        """Hex SHA-256 of what copies of one mail share: people, subject, whitespace-normalised body and attachments.

        The date is left out: copies of one mail are often hours apart, by time zones that mailers got wrong. Blind
        copies are left out, because only the sender's own copy names them.
        """
        people = (self.sender.email, *sorted({address.email or address.name for address in (*self.to, *self.cc)}))
        words = (" ".join(text.split()) for text in (self.subject, self.body))
        attached = (f"{attachment.name} {attachment.size}" for attachment in self.attachments)
        text = "\n".join((",".join(people), *words, *attached))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
