"""Manifest: proof that an index folder was written by this user's own installation, and is whole.

Whoosh unpickles what it opens, so a foreign folder could run code: nothing in it is opened before every file's
hash is checked against a manifest signed with a key that only this user has. Knows nothing of Whoosh.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from inbox_env.errors import CorruptError, ResourceError

NAME = "manifest.json"
_BUILD_AGAIN = "import the mail again with --index whoosh"


def write_manifest(directory: Path, fingerprint: str) -> None:
    """Sign all files of `directory`; `fingerprint` says which mails they index."""
    content = json.dumps({"fingerprint": fingerprint, "files": _hashes(directory)}, sort_keys=True)
    (directory / NAME).write_text(json.dumps({"content": content, "signature": _signature(content)}), "utf-8")


def verify_manifest(directory: Path, fingerprint: str) -> None:
    """Raise CorruptError unless `directory` holds exactly the files that were signed, for the same mails."""
    try:
        manifest = json.loads((directory / NAME).read_text("utf-8"))
        content, signature = str(manifest["content"]), str(manifest["signature"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(50, "no readable Whoosh index", directory) from error
    if not hmac.compare_digest(signature.encode(), _signature(content).encode()):
        raise _refused(51, "the Whoosh index was not built by you here, and opening it could run code", directory)
    signed = json.loads(content)
    if signed["files"] != _hashes(directory):
        raise _refused(52, "the Whoosh index was changed after it was built", directory)
    if signed["fingerprint"] != fingerprint:
        raise _refused(53, "the Whoosh index is of other mails than the mailbox", directory)


def key_file() -> Path:
    """Return where this user's signing key lies: under XDG_STATE_HOME, else ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mailsleuth" / "index.key"


def _refused(number: int, what: str, directory: Path) -> CorruptError:
    return CorruptError(number, what, where=str(directory), next_step=_BUILD_AGAIN)


def _hashes(directory: Path) -> dict[str, str]:
    paths = sorted(path for path in directory.rglob("*") if path.name != NAME and not path.is_dir())
    return {str(path.relative_to(directory)): _hash(path) for path in paths}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(content: str) -> str:
    return hmac.new(_key(), content.encode(), "sha256").hexdigest()


def _key() -> bytes:
    path = key_file()
    try:
        if not path.exists():
            _make_key(path)
        return path.read_bytes()
    except OSError as error:
        what = "cannot keep the key that signs Whoosh indexes"
        raise ResourceError(54, what, where=str(path), next_step="set XDG_STATE_HOME to a folder of yours") from error


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        fresh.unlink()
