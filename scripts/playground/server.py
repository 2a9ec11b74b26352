"""Serving the page on this machine: the address, the port, the browser, and what a wider address takes.

Knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from inbox_env.errors import ResourceError, UsageError
from scripts.page_options import TOKEN_VARIABLE
from scripts.playground.guard import Allowed

MIN_TOKEN_CHARS = 16
NUM_PORTS_TRIED = 20


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens; beyond loopback only with `is_network_allowed` and a token."""

    host: str
    port: int
    is_network_allowed: bool
    token: str

    @classmethod
    def chosen(
        cls,
        host: str,
        port: int,
        *,
        is_network_allowed: bool,
        environment: Mapping[str, str],
        why: str = "the page shows mail",
    ) -> Address:
        """Return the address; raises UsageError for a wide one without permission and a token of 16 characters.

        `why` says why not everybody should connect.
        """
        token = environment.get(TOKEN_VARIABLE, "")
        if token and len(token) < MIN_TOKEN_CHARS:
            suggestion = f"export {TOKEN_VARIABLE}={secrets.token_urlsafe(24)}"
            raise UsageError(3, f"{TOKEN_VARIABLE} is shorter than {MIN_TOKEN_CHARS} characters", next_step=suggestion)
        if not is_loopback(host) and not (is_network_allowed and token):
            what = f"{host} can be reached from other machines, and {why}"
            next_step = f"add --unsafe-allow-network and set {TOKEN_VARIABLE}, or use 127.0.0.1 and an ssh tunnel"
            raise UsageError(4, what, next_step=next_step)
        return cls(host, port, is_network_allowed, token)

    def allowed(self, port: int) -> Allowed:
        """Return who is answered at `port`."""
        if is_loopback(self.host):
            return Allowed.loopback(port, self.token)
        names = {self.host, "localhost", socket.gethostname(), socket.getfqdn()}
        hosts = {f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names}
        return Allowed(frozenset(hosts), port, any_address=True, token=self.token)

    def url(self, port: int, path: str = "") -> str:
        """Return what is to be opened; of a `path`, which programs use, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/{path}" + (f"?token={self.token}" if self.token and not path else "")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `port`, or at one of the next when that is busy; raises ResourceError."""
    for candidate in range(port, min(port + NUM_PORTS_TRIED, 65_536)) if port else [0]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # the protocol is named because asyncio sends small answers at once only then: else each waits 40 ms
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, candidate))
            sock.listen(512)
        except OSError as error:
            sock.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                what, next_step = f"cannot listen: {error.strerror}", "choose another --host"
                raise ResourceError(1, what, where=host, next_step=next_step) from error
            continue
        return sock
    what = f"ports {port} to {port + NUM_PORTS_TRIED - 1} are busy"
    raise ResourceError(2, what, where=host, next_step="choose another one with --port")


def serve(
    make_app: Callable[[Allowed], ASGIApp], address: Address, *, title: str, opens_browser: bool, path: str = ""
) -> None:
    """Serve until interrupted; the address, with `path`, is printed when it answers."""
    sock = listen(address.host, address.port)
    port = sock.getsockname()[1]
    config = server_config(make_app(address.allowed(port)))
    with suppress(KeyboardInterrupt), sock:
        asyncio.run(_serve(uvicorn.Server(config), sock, address.url(port, path), title, opens_browser=opens_browser))


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return how `app` is served, in the tests too."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        http="h11",
        ws="none",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )


async def _serve(server: uvicorn.Server, sock: socket.socket, url: str, title: str, *, opens_browser: bool) -> None:
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.005)
    if server.started:
        _announce(url, title, opens_browser=opens_browser)
    await serving


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Return whether a window can be opened: elsewhere a browser would take the terminal over."""
    is_windowed = platform in ("darwin", "win32") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return bool(is_windowed)


def _announce(url: str, title: str, *, opens_browser: bool) -> None:
    print(f"{title}: {url}  (Ctrl-C ends it)", flush=True)
    if opens_browser and has_browser(os.environ, sys.platform):
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
