"""Where a sampling server may be: mail goes there as token ids, so a public address needs an explicit yes.

Knows nothing of what is sent.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from urllib.parse import urlsplit

from inbox_env.errors import UsageError

_log = logging.getLogger(__name__)


def check_server_url(url: str, *, allow_public: bool) -> str:
    """Return `url` without a trailing slash; warns once when it is another machine's.

    Raises UsageError when it is no http address, carries a password, cannot be resolved, or is public and
    `allow_public` is not set.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(80, f"not a server address: {url[:80]!r}", next_step="write http://HOST:PORT")
    if parts.username or parts.password:
        raise UsageError(81, "a server address holds a password", next_step="put the key into VLLM_API_KEY")
    addresses = _addresses(parts.hostname)
    if all(address.is_loopback for address in addresses):
        return url.rstrip("/")
    is_private = all(address.is_private or address.is_loopback for address in addresses)
    if not is_private and not allow_public:
        raise UsageError(
            82,
            "the mail of the episodes would leave for a public address",
            where=parts.hostname,
            next_step="use a private address, or set sampling.allow_public_servers = true",
        )
    _log.warning("the mail of the episodes goes to %s (%s)", parts.hostname, "private" if is_private else "PUBLIC")
    return url.rstrip("/")


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(83, f"cannot resolve the server's name ({error.strerror})", where=host) from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
