"""The guard before every route: only this page, in a browser on this machine, gets an answer.

Any web site that is open in the same browser can send requests to a local server. What it cannot do is choose the
Host, Origin and Sec-Fetch-Site headers: they are checked on every request, streams included. Beyond loopback a token
is wanted as well. Knows nothing of mail or of what the routes do.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mailsleuth_token"
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_METHODS = ("GET", "HEAD", "POST")
_NOT_IN_PATHS = (b"\\", b"//", b"..", b"%2e", b"%2f", b"%5c", b"%00", b"\x00")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who is answered: `hosts` with their ports as a browser sends them; `any_address`: any IP address at `port` too.

    A name can be rebound to this machine by whoever owns it, an address cannot. `token` empty: none is wanted.
    """

    hosts: frozenset[str]
    port: int
    any_address: bool = False
    token: str = ""

    @classmethod
    def loopback(cls, port: int, token: str = "") -> Allowed:
        """Return what a server on this machine for this machine allows."""
        names = ("127.0.0.1", "localhost", "[::1]")
        return cls(frozenset(f"{name}:{port}" for name in names), port, token=token)

    def is_host(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        if host in self.hosts:
            return True
        name, _, port = host.rpartition(":")
        return self.any_address and port == str(self.port) and _is_address(name.strip("[]"))


class Guard:
    """ASGI middleware: refuses what is not from the page itself, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, allowed: Allowed) -> None:
        self.app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = _refusal(scope, self._allowed) or _token_answer(scope, self._allowed)
            await (refusal or self.app)(scope, receive, _with_headers(send))


def _refusal(scope: Scope, allowed: Allowed) -> Response | None:
    """Return why this request is not answered, or None."""
    hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
    sites = _values(scope, b"sec-fetch-site")
    if len(hosts) != 1 or len(origins) > 1 or len(sites) > 1:
        return _plain(400, "one Host header, and at most one Origin")
    if not allowed.is_host(hosts[0]):
        return _plain(403, "this server answers under its own address only")
    if scope["method"] not in _METHODS:
        return _plain(405, "GET or POST")
    if origins and origins[0] != f"http://{hosts[0]}":
        return _plain(403, "a request from another site")
    is_visit = scope["method"] != "POST" and scope["path"] == "/"  # typed into the address bar, or a bookmark
    if sites and sites[0] != "same-origin" and not (sites[0] == "none" and is_visit):
        return _plain(403, "a request from another site")
    raw = (scope.get("raw_path") or scope["path"].encode()).lower()
    if any(bad in raw for bad in _NOT_IN_PATHS):
        return _plain(404, "not found")
    return None


def _token_answer(scope: Scope, allowed: Allowed) -> Response | None:
    """Return None for who has shown the token; a visit that brings it gets it as a cookie."""
    if not allowed.token:
        return None
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
    if given and scope["path"] == "/" and hmac.compare_digest(given.encode(), allowed.token.encode()):
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(COOKIE, allowed.token, httponly=True, samesite="strict")
        return answer
    if hmac.compare_digest(_cookie(scope).encode(), allowed.token.encode()):
        return None
    return _plain(401, "open the address that was printed in the terminal: it holds the token")


def _cookie(scope: Scope) -> str:
    try:
        jar = SimpleCookie("; ".join(_values(scope, b"cookie")))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _values(scope: Scope, name: bytes) -> Sequence[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _plain(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
