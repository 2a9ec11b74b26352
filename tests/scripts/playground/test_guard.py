"""The guard: whatever is not from the page itself gets no answer, and every answer carries the headers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from scripts.playground.guard import COOKIE, HEADERS, Allowed, Guard
from tests.scripts.playground.foreign_requests import REFUSED_METHODS, Headers, refused_headers

PORT = 7341
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"
TOKEN = "a-token-of-sixteen-characters"


async def _hello(_: Request) -> Response:
    return PlainTextResponse("mail")


def guarded(allowed: Allowed) -> Guard:
    return Guard(Starlette(routes=[Route("/{path:path}", _hello, methods=["GET", "POST"])]), allowed)


def answer(
    headers: Headers, *, method: str = "GET", path: str = "/api/mails", query: str = "", allowed: Allowed | None = None
) -> tuple[int, dict[str, str]]:
    """Send one raw request, so that headers can be missing or doubled, and paths are not tidied up."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guarded(allowed or Allowed.loopback(PORT))(scope, receive, send))
    raw = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], raw


ALLOWED_REQUESTS = {
    "the page's own request": ([("Host", HOST), ("Origin", ORIGIN), ("Sec-Fetch-Site", "same-origin")], "POST", "/x"),
    "a GET of the page": ([("Host", HOST), ("Sec-Fetch-Site", "same-origin")], "GET", "/x"),
    "an address that was typed": ([("Host", HOST), ("Sec-Fetch-Site", "none")], "GET", "/"),
    "localhost": ([("Host", f"localhost:{PORT}"), ("Origin", f"http://localhost:{PORT}")], "POST", "/x"),
    "IPv6": ([("Host", f"[::1]:{PORT}"), ("Origin", f"http://[::1]:{PORT}")], "POST", "/x"),
    "no browser": ([("Host", HOST)], "GET", "/x"),
}


@pytest.mark.parametrize(("headers", "method", "path"), ALLOWED_REQUESTS.values(), ids=ALLOWED_REQUESTS)
def test_the_page_itself_is_answered(headers: Headers, method: str, path: str) -> None:
    assert answer(headers, method=method, path=path)[0] == 200


def site(value: str, method: str = "GET", path: str = "/api/mails") -> tuple[Headers, str, str]:
    return [("Host", HOST), ("Sec-Fetch-Site", value)], method, path


def path(value: str) -> tuple[Headers, str, str]:
    return [("Host", HOST)], "GET", value


FOREIGN = refused_headers(PORT)
REFUSED = {
    **{name: (headers, "GET", "/") for name, headers in FOREIGN.items()},
    **{f"{name}, to ask": (headers, "POST", "/api/ask/play") for name, headers in FOREIGN.items()},
    **{method: ([("Host", HOST)], method, "/") for method in REFUSED_METHODS},
    "typed, but not the page": site("none"),
    "typed POST": site("none", "POST", "/"),
    "dots": path("/static/../../etc/passwd"),
    "encoded dots": path("/static/%2e%2e/%2e%2e/etc/passwd"),
    "half encoded dots": path("/static/.%2e/secret"),
    "encoded slashes": path("/static/..%2fsecret"),
    "double slash": path("//evil.example"),
    "slash and backslash": path("/\\evil.example"),
    "encoded backslash": path("/static/..%5csecret"),
    "NUL": path("/static/style.css%00.html"),
}


@pytest.mark.parametrize(("headers", "method", "path"), REFUSED.values(), ids=REFUSED)
def test_f70_everything_else_is_refused_and_told_nothing(headers: Headers, method: str, path: str) -> None:
    status, given = answer(headers, method=method, path=path)
    assert status in (400, 403, 404, 405)
    assert "location" not in given
    assert not [name for name in given if name.startswith("access-control")]
    assert given["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_every_answer_carries_the_headers() -> None:
    _, given = answer([("Host", HOST)])
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= given.items()
    policy = given["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_f70_web_sockets_are_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", HOST.encode())], "query_string": b""}
    asyncio.run(guarded(Allowed.loopback(PORT))(scope, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


WIDE = Allowed(frozenset({f"desk:{PORT}"}), PORT, any_address=True, token=TOKEN)


@pytest.mark.parametrize(
    ("host", "status"),
    [(f"192.0.2.7:{PORT}", 200), (f"[2001:db8::7]:{PORT}", 200), (f"desk:{PORT}", 200), (f"evil.example:{PORT}", 403)],
)
def test_beyond_loopback_addresses_are_hosts_and_other_names_are_not(host: str, status: int) -> None:
    assert answer([("Host", host), ("Cookie", f"{COOKIE}={TOKEN}")], allowed=WIDE)[0] == status


@pytest.mark.parametrize("cookie", [None, f"{COOKIE}=wrong", f"other={TOKEN}", f"{COOKIE}=", "x" * 5000, "=;=,"])
def test_f72_without_the_token_nothing_is_answered(cookie: str | None) -> None:
    headers = [("Host", f"desk:{PORT}")] + ([("Cookie", cookie)] if cookie else [])
    assert answer(headers, allowed=WIDE)[0] == 401
    assert answer(headers, path="/", allowed=WIDE, query="token=wrong")[0] == 401


def test_the_printed_address_sets_the_token_once_and_hides_it() -> None:
    status, given = answer([("Host", f"desk:{PORT}")], path="/", query=f"token={TOKEN}", allowed=WIDE)
    assert (status, given["location"]) == (303, "/")
    assert f"{COOKIE}={TOKEN}" in given["set-cookie"]
    assert "HttpOnly" in given["set-cookie"]
    assert "SameSite=strict" in given["set-cookie"]
    assert answer([("Host", f"desk:{PORT}")], path="/api/mails", query=f"token={TOKEN}", allowed=WIDE)[0] == 401
