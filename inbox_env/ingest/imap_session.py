"""A session with an IMAP server that only reads: connects, logs in, examines folders, fetches without marking.

Every trouble with the server becomes one UpstreamError. TLS certificates are always checked. Knows nothing of
what is wanted. Needs imap-tools (the extra "imap").
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from inbox_env.errors import UpstreamError, UsageError
from inbox_env.ingest.imap_place import ImapPlace

if TYPE_CHECKING:
    from imap_tools import BaseMailBox

TIMEOUT_SECONDS = 60.0
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_QUOTED = re.compile(rb'\bBODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"')
_BROKE_OFF = "run the same command again: it goes on after the last mail that came in"


class Fetched(NamedTuple):
    """What a server said of one message; what was not asked for is empty."""

    uid: int
    size: int = 0
    flags: tuple[str, ...] = ()
    data: bytes | None = None


@contextmanager
def open_session(place: ImapPlace, password: str) -> Iterator[BaseMailBox]:
    """Give a session that is logged in, no folder opened; raises UpstreamError for every failure of the server."""
    mailbox = _connect(place)
    is_well = False
    try:
        _log_in(mailbox, place, password)
        yield mailbox
        is_well = True
    except (imaplib.IMAP4.error, OSError, EOFError) as error:
        what = f"the mail server broke off ({type(error).__name__})"
        raise UpstreamError(93, what, where=place.host, next_step=_BROKE_OFF) from error
    except _unexpected() as error:
        raise UpstreamError(94, "the mail server refused a command", where=place.host, next_step=_BROKE_OFF) from error
    finally:
        with suppress(Exception):  # the mail is read: how the server takes the good-bye is no one's concern
            if is_well:
                mailbox.logout()
            else:
                mailbox.client.shutdown()


def examine(mailbox: BaseMailBox, folder: str) -> int | None:
    """Open the folder for reading only; return its UIDVALIDITY, or None when the server does not open it."""
    try:
        mailbox.folder.set(folder, readonly=True)
    except _unexpected():
        return None
    _, found = mailbox.client.response("UIDVALIDITY")
    value = found[0] if found else None
    return int(value) if isinstance(value, bytes) and value.isdigit() else 0


def uids_after(mailbox: BaseMailBox, last_uid: int) -> list[int]:
    """Return the UIDs above `last_uid` in the opened folder, ascending."""
    found = map(int, mailbox.uids(f"UID {last_uid + 1}:*", charset=None))
    return sorted(uid for uid in found if uid > last_uid)  # "n:*" names the last message even when it is below n


def fetch(mailbox: BaseMailBox, uids: Sequence[int], parts: str) -> dict[int, Fetched]:
    """Return what the server gives of these messages, by UID; `parts` must be such as mark nothing as seen."""
    if not uids:
        return {}
    status, rows = mailbox.client.uid("FETCH", ",".join(map(str, uids)), f"(UID {parts})")
    if status != "OK":
        raise imaplib.IMAP4.error("FETCH refused")
    found: dict[int, Fetched] = {}
    for number, row in enumerate(rows):
        after = rows[number + 1] if number + 1 < len(rows) else b""
        one = _fetched(row, after if isinstance(after, bytes) else b"")
        if one is None or one.uid not in uids or (one.data is None and one.uid in found):
            continue  # no message, or the last words of one whose literal has been taken, or its flags told again
        found[one.uid] = one
    return found


def _fetched(row: object, after: bytes) -> Fetched | None:
    """One row: text, or text with a literal, whose last words stand in the row after it."""
    data: bytes | None = None
    if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], bytes):
        text, data = row[0] + b" " + after, row[1]
    elif isinstance(row, bytes):
        text = row
        quoted = _QUOTED.search(row)
        data = re.sub(rb"\\(.)", rb"\1", quoted[1]) if quoted else None
    else:
        return None
    uid, size, flags = _UID.search(text), _SIZE.search(text), _FLAGS.search(text)
    if uid is None:
        return None
    names = tuple(flags[1].decode("ascii", "replace").split()) if flags else ()
    return Fetched(int(uid[1]), int(size[1]) if size else 0, names, data)


def _connect(place: ImapPlace) -> BaseMailBox:
    try:
        from imap_tools import MailBox, MailBoxStartTls, MailBoxUnencrypted
    except ModuleNotFoundError as error:
        next_step = "in the project: pip install -e '.[imap]'"
        raise UsageError(54, "reading IMAP needs the package imap-tools", next_step=next_step) from error
    context = ssl.create_default_context()
    try:
        if place.is_tls:
            return MailBox(place.host, place.port, timeout=TIMEOUT_SECONDS, ssl_context=context)
        if place.is_loopback:
            return MailBoxUnencrypted(place.host, place.port, timeout=TIMEOUT_SECONDS)
        return MailBoxStartTls(place.host, place.port, timeout=TIMEOUT_SECONDS, ssl_context=context)
    except ssl.SSLCertVerificationError as error:
        what = f"the mail server's certificate is not to be trusted: {error.verify_message}"
        next_step = "check the host's name; name the certificate of an own authority in SSL_CERT_FILE"
        raise UpstreamError(91, what, where=place.host, next_step=next_step) from error
    except (OSError, EOFError, imaplib.IMAP4.error, _unexpected()) as error:
        what = f"the mail server cannot be reached ({type(error).__name__})"
        next_step = f"check host, port {place.port} and that it speaks IMAP with TLS; then run the same command again"
        raise UpstreamError(90, what, where=place.host, next_step=next_step) from error


def _log_in(mailbox: BaseMailBox, place: ImapPlace, password: str) -> None:
    try:
        log_in = mailbox.login if (place.user + password).isascii() else mailbox.login_utf8
        log_in(place.user, password, initial_folder=None)
    except (_unexpected(), imaplib.IMAP4.error) as error:
        if isinstance(error, imaplib.IMAP4.abort):
            raise
        next_step = "check user and password; many providers want an app password for IMAP"
        raise UpstreamError(92, "the mail server refused the login", where=place.name, next_step=next_step) from None


def _unexpected() -> type[Exception]:
    from imap_tools.errors import ImapToolsError

    return ImapToolsError
