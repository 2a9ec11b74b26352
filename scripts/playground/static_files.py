"""The page's own files, read once: a request names one of them or gets nothing, so that no path can lead elsewhere.

Knows nothing of views.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str
    etag: str


class StaticFiles:
    """All files of the page by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix in _TYPES]
        self._assets = {path.name: _asset(path) for path in paths}

    async def index(self, request: Request) -> Response:
        """Answer with the page."""
        return self._send(request, INDEX)

    async def file(self, request: Request) -> Response:
        """Answer with one file of the page; raises HTTPException 404."""
        return self._send(request, request.path_params["name"])

    def _send(self, request: Request, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            raise HTTPException(404, "no such file")
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers={**headers, "Content-Type": asset.content_type})


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], f'"{sha256(body).hexdigest()[:16]}"')
