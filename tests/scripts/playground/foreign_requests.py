"""Requests that are not from the page itself, whatever they ask for: other names, other sites, other methods."""

from __future__ import annotations

Headers = list[tuple[str, str]]


def own_headers(port: int, method: str = "GET") -> Headers:
    """Return what the page itself sends."""
    host = f"127.0.0.1:{port}"
    own: Headers = [("Host", host), ("Sec-Fetch-Site", "same-origin")]
    return own + ([("Origin", f"http://{host}")] if method == "POST" else [])


def refused_hosts(port: int) -> dict[str, Headers]:
    """Return Host headers, most of them as DNS rebinding would bring them."""
    own = f"127.0.0.1:{port}"
    names = {
        "an empty host": "",
        "a rebound name": "evil.example",
        "a rebound name with the port": f"evil.example:{port}",
        "a name that resolves to loopback": f"127.0.0.1.nip.example:{port}",
        "a name that ends like ours": f"evil.localhost:{port}",
        "a name that begins like ours": f"localhost.evil.example:{port}",
        "our name with a dot": f"localhost.:{port}",
        "a host without the port": "127.0.0.1",
        "another port": "127.0.0.1:80",
        "another loopback address": f"127.0.0.2:{port}",
        "every address": f"0.0.0.0:{port}",
        "a user in the host": f"{own}@evil.example",
        "a host with a space": f"{own} ",
        "a host in decimal": f"2130706433:{port}",
        "upper case": f"LOCALHOST:{port}",
    }
    doubled = {
        "no host": [],
        "two hosts": [("Host", own), ("Host", own)],
        "two hosts, one of them evil": [("Host", own), ("Host", "evil.example")],
    }
    return doubled | {name: [("Host", value)] for name, value in names.items()}


def refused_origins(port: int) -> dict[str, Headers]:
    """Return Origin headers of other sites, frames and files, under the right host."""
    own = f"127.0.0.1:{port}"
    origins = {
        "null origin": "null",
        "an empty origin": "",
        "another site": "https://evil.example",
        "another port's origin": "http://127.0.0.1:8000",
        "our origin over https": f"https://{own}",
        "the other name of this machine": f"http://localhost:{port}",
        "an origin with a path": f"http://{own}/",
        "an origin that begins like ours": f"http://{own}.evil.example",
        "a frame's or file's origin": "file://",
    }
    twice = [("Host", own), ("Origin", f"http://{own}"), ("Origin", f"http://{own}")]
    return {"two origins": twice} | {name: [("Host", own), ("Origin", value)] for name, value in origins.items()}


def refused_sites(port: int) -> dict[str, Headers]:
    """Return Sec-Fetch-Site headers of other sites; `none`, an address that was typed, is right for the page alone."""
    own = ("Host", f"127.0.0.1:{port}")
    sites = {
        "cross-site": "cross-site",
        "same-site: another port": "same-site",
        "an unknown site": "other",
        "an empty site": "",
    }
    twice = [own, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none")]
    return {"two sites": twice} | {name: [own, ("Sec-Fetch-Site", value)] for name, value in sites.items()}


def refused_headers(port: int) -> dict[str, Headers]:
    """Return all of them by name: none may get an answer from any route, whatever the method."""
    return refused_hosts(port) | refused_origins(port) | refused_sites(port)


REFUSED_METHODS = ("OPTIONS", "PUT", "PATCH", "DELETE", "TRACE")
