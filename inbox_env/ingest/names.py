"""What the names of files and folders say: which mail folder a file belongs to, and which are hardly mail.

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
_MAIL_SUFFIXES = (*MBOX_SUFFIXES, ".eml", ".emlx")
_NEVER_MAIL = (".msf", ".DS_Store")
# Other programs' own files: indexes, locks, counters. They are no mail and no loss, unless mail is in them.
_OTHERS_SUFFIXES = (".summary", ".snm", ".toc", ".lock")
_OTHERS_NAMES = re.compile(
    r"dovecot.*|maildirfolder|maildirsize|subscriptions|courier.*|uidvalidity|table_of_contents|Info\.plist"
    r"|popstate\.dat|msgFilterRules\.dat|filterlog\.html|Thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
_HIDDEN = "hidden file"
_HIDDEN_PART = re.compile(r"(?:\A|/)\.")
_OTHERS = "another program's file"
_PROFILE = re.compile(r"[A-Za-z0-9]+\.default[^/]*")  # Thunderbird's
_PROFILE_TOPS = ("Mail", "ImapMail")
_MH_DELETED = re.compile(r"[,#]\d+")


def folder_name(path: PurePath) -> str:
    """The relative path as a folder's name: slashes, without what mail programs add, always UTF-8."""
    parts: list[str] = []
    is_in_package = False
    for part in _below_profile(path.parts):
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


def place_of_source(path: PurePath) -> PurePath:
    """The top of the source as its mails' folders are named after it: an Apple package and a profile have a name."""
    is_named = path.suffix == _PACKAGE or _PROFILE.fullmatch(path.name) is not None
    return PurePath(path.name) if is_named else PurePath()


def doubt_of(path: PurePath) -> str:
    """Why a file is by its name hardly mail: hidden, or another program's own; "" for all others.

    It is read all the same when mail is in it.
    """
    name = path.name
    if name.startswith(".") or (_HIDDEN_PART.search(str(path)) and not is_maildir_file(path)):
        return _HIDDEN
    if has_mail_suffix(name):
        return ""
    is_of_takeout = "Takeout" in path.parts[:-1]  # Google's export: the rest is other services' and settings
    is_known = name.endswith(_OTHERS_SUFFIXES) or _OTHERS_NAMES.fullmatch(name) is not None
    return _OTHERS if is_of_takeout or is_known else ""


def reason_never_read(path: PurePath) -> str:
    """Why a file is left out whatever is in it: an index, deleted in MH, part of another mail; "" for all others."""
    name = path.name
    if name.endswith(_NEVER_MAIL):
        return _HIDDEN if name.startswith(".") else _OTHERS
    if _MH_DELETED.fullmatch(name):
        return "deleted in MH"
    is_attachment = "Attachments" in path.parts and any(part.endswith(_PACKAGE) for part in path.parts[:-1])
    return "an attachment kept beside its mail" if is_attachment else ""


def has_mail_suffix(name: str) -> bool:
    """Whether a file is called as mail is, packed or not."""
    name = name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(_MAIL_SUFFIXES)


def decode_utf7(name: str) -> str:
    """Return a folder's name that is in IMAP's modified UTF-7; what is no such text stays as it is."""
    return _SHIFTED.sub(_unshifted, name)


def _below_profile(parts: tuple[str, ...]) -> tuple[str, ...]:
    for place in range(len(parts) - 2):
        if parts[place + 1] in _PROFILE_TOPS and _PROFILE.fullmatch(parts[place]):
            return parts[place + 2 :]
    return parts


def _unshifted(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    encoded = found[1].replace(",", "/")
    try:
        return binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4)).decode("utf-16-be")
    except (ValueError, UnicodeError):
        return found[0]
