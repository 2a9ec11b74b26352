"""What the names of files and folders say: which mail folder a file belongs to, and which files are no mail at all.

Pure functions of paths relative to the source, so that a folder and an archive of it give the same names.
"""

from __future__ import annotations

import binascii
import os
import re
from pathlib import PurePath

MBOX_SUFFIXES = (".mbox", ".mbx", ".mboxo", ".mboxrd", ".mboxcl", ".mboxcl2")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz")
_PACKAGE = ".mbox"  # Apple Mail's folders are folders of files with this suffix
_APPLE_INNER = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|Data|\d|Messages")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")
# Other programs' own files: indexes, locks, counters. They are no mail and no loss.
_OTHERS_SUFFIXES = (".msf", ".summary", ".snm", ".toc", ".lock")
_OTHERS_NAMES = re.compile(
    r"dovecot.*|maildirfolder|maildirsize|subscriptions|courier.*|uidvalidity|table_of_contents|Info\.plist"
    r"|popstate\.dat|msgFilterRules\.dat|filterlog\.html|Thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
_MH_DELETED = re.compile(r"[,#]\d+")


def folder_name(path: PurePath) -> str:
    """The relative path as a folder's name: slashes, without what mail programs add, always UTF-8."""
    parts: list[str] = []
    is_in_package = False
    for part in path.parts:
        if is_in_package and _APPLE_INNER.fullmatch(part):
            continue
        is_in_package = is_in_package or part.endswith(_PACKAGE)
        parts.append(part.removesuffix(".sbd").removesuffix(_PACKAGE))
    return "/".join(os.fsencode(part).decode("utf-8", "replace") for part in parts)


def mbox_folder(path: PurePath) -> str:
    """The name of the folder that an mbox file is: its own name, or that of the package it lies in."""
    if path.name == "mbox" and path.parent.suffix == _PACKAGE:
        return folder_name(path.parent)
    stem = path.name
    for suffix in (*PACKED_SUFFIXES, *MBOX_SUFFIXES):
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            stem = stem[: -len(suffix)]
    return folder_name(path.with_name(stem))


def maildir_folder(path: PurePath) -> str:
    """The name of a Maildir by its path: ".Sent.2001" is Sent/2001, the top is inbox."""
    parts = [part[1:].replace(".", "/") if part.startswith(".") else part for part in path.parts]
    return decode_utf7(folder_name(PurePath(*parts))) if parts else "inbox"


def is_maildir_file(path: PurePath) -> bool:
    """Whether the path is that of a message in a Maildir."""
    return path.parent.name in ("cur", "new")


def is_no_mail(path: PurePath) -> bool:
    """Whether a file is by its name another program's own, hidden, or deleted in MH: never read, never a reject."""
    name = path.name
    if name.startswith(".") or name.endswith(_OTHERS_SUFFIXES):
        return True
    if "Takeout" in path.parts[:-1]:  # Google's export: the rest of it is other services' and settings
        return not name.lower().endswith(_PACKAGE)
    is_attachment = "Attachments" in path.parts and any(part.endswith(_PACKAGE) for part in path.parts[:-1])
    return is_attachment or _OTHERS_NAMES.fullmatch(name) is not None or _MH_DELETED.fullmatch(name) is not None


def decode_utf7(name: str) -> str:
    """Return a folder's name that is in IMAP's modified UTF-7; what is no such text stays as it is."""
    return _SHIFTED.sub(_unshifted, name)


def _unshifted(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    encoded = found[1].replace(",", "/")
    try:
        return binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4)).decode("utf-16-be")
    except (ValueError, UnicodeError):
        return found[0]
