"""The server's application: the page's files, the routes of all views, and the guard before everything.

Knows nothing of ports or browsers.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from inbox_env.database import QueryTooSlow
from inbox_env.errors import MailsleuthError
from scripts.playground.bodies import show_failure
from scripts.playground.guard import Allowed, Guard
from scripts.playground.static_files import StaticFiles
from scripts.playground.views import View


def make_app(views: Sequence[View], shared: Sequence[BaseRoute], allowed: Allowed) -> Guard:
    """Return the application with these views, the first of them shown first; `shared` are routes that many need."""
    static = StaticFiles()

    async def list_views(_: Request) -> Response:
        return JSONResponse({"views": [{"name": view.name, "title": view.title} for view in views]})

    routes: list[BaseRoute] = [
        Route("/", static.index),
        Route("/static/{name}", static.file),
        Route("/api/views", list_views),
        *shared,
        *(route for view in views for route in view.routes),
    ]
    handlers = dict.fromkeys((HTTPException, MailsleuthError, QueryTooSlow, Exception), show_failure)
    # around everything: an answer that reports a defect carries the headers too
    return Guard(Starlette(routes=routes, exception_handlers=handlers), allowed)
