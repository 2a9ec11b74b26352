"""A mailbox on an IMAP server: its address, how far it has been read, and where its password comes from.

A password never stands in an address. Opens no connection.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from dataclasses import dataclass
from getpass import getpass
from urllib.parse import unquote

from pydantic import BaseModel, Field

from inbox_env.errors import UsageError

PASSWORD_VARIABLE = "MAILSLEUTH_IMAP_PASSWORD"  # noqa: S105  # its name
KEYRING_SERVICE = "mailsleuth"
_ADDRESS = re.compile(r"(?P<scheme>imaps?):/{1,2}(?P<authority>[^/]*)(?:/(?P<folder>.*))?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+)(?::(?P<port>\d{1,5}))?")
_NEXT_STEP = "write imaps://you@host or imaps://you@host/Folder"


@dataclass(frozen=True, slots=True)
class ImapPlace:
    """Whose mail on which server; `folder` "" means all of them. Without TLS only on this machine, else STARTTLS."""

    user: str
    host: str
    port: int
    folder: str
    is_tls: bool

    @property
    def name(self) -> str:
        """The address as a person writes it."""
        scheme = "imaps" if self.is_tls else "imap"
        return f"{scheme}://{self.user}@{self.host}" + (f"/{self.folder}" if self.folder else "")

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class FolderState(BaseModel):
    """How far one folder has been read: up to `last_uid`, as long as the server keeps `uidvalidity`."""

    uidvalidity: int
    last_uid: int = 0


class ImapState(BaseModel):
    """How far the mailbox has been read; changed while it is read, so that an import can go on from there.

    `restarted` are the folders that had to be read from the start because the server numbered them anew.
    """

    folders: dict[str, FolderState] = Field(default_factory=dict)
    restarted: list[str] = Field(default_factory=list, exclude=True)


def is_imap_address(text: str) -> bool:
    """Whether the text is meant as the address of an IMAP server (a path may have swallowed one slash)."""
    return _ADDRESS.match(text) is not None


def parse_imap_address(text: str) -> ImapPlace:
    """Return what the address names; raises UsageError, which never repeats a password."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise UsageError(57, "not the address of a mail server", next_step=_NEXT_STEP)
    user, _, server = found["authority"].rpartition("@")
    if ":" in user:
        raise UsageError(58, "a password does not belong in an address", where=server,
                         next_step=f"set {PASSWORD_VARIABLE} or store it in the keyring")  # fmt: skip
    place = _HOST.fullmatch(server)
    is_tls = found["scheme"].lower() == "imaps"
    port = int(place["port"] or (993 if is_tls else 143)) if place else 0
    if not user or place is None or not 0 < port < 65_536:
        what = "no user in the address" if not user else "no server in the address"
        raise UsageError(57, what, where=server, next_step=_NEXT_STEP)
    return ImapPlace(unquote(user), place["host"].strip("[]"), port, unquote(found["folder"] or "").strip("/"), is_tls)


def password_of(place: ImapPlace) -> str:
    """Return the password from the environment, the keyring or a prompt; raises UsageError without any."""
    found = os.environ.get(PASSWORD_VARIABLE) or _from_keyring(place)
    if found:
        return found
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass(f"Password of {place.user} at {place.host}: ")
    next_step = f"set {PASSWORD_VARIABLE}, or run: keyring set {KEYRING_SERVICE} {place.user}@{place.host}"
    raise UsageError(59, "no password for the mail server", where=place.name, next_step=next_step)


def _from_keyring(place: ImapPlace) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        return None
    try:
        return keyring.get_password(KEYRING_SERVICE, f"{place.user}@{place.host}")
    except (KeyringError, OSError, RuntimeError):  # no keyring on this machine, or a locked one
        return None
