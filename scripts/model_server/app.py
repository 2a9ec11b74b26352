"""The routes of the model server, and who may use them: this machine alone, or whoever shows the token.

Knows nothing of ports or of how a turn is made.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inbox_env.errors import MailsleuthError
from scripts.model_server.answers import Heading, event
from scripts.model_server.chat import Chat, Prompt
from scripts.model_server.failures import ApiError, as_api_error, json_response, show_failure
from scripts.model_server.generator import Ticket
from scripts.model_server.requests import MAX_BODY_BYTES, read_request
from scripts.playground.bodies import read_bytes
from scripts.playground.event_stream import while_read
from scripts.playground.guard import Allowed, Guard

BODY_SECONDS = 30.0  # in which a request must have been sent: one that comes slowly holds a place
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


def make_api(chat: Chat, allowed: Allowed) -> ASGIApp:
    """Return the application; a token of `allowed` is wanted as a bearer token."""
    api = _Api(chat)
    routes = [
        Route("/health", api.health),
        Route("/v1/models", api.models),
        Route("/v1/models/{name}", api.model),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
    ]
    handlers = dict.fromkeys((HTTPException, ApiError, MailsleuthError, Exception), show_failure)
    app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)
    if allowed.token:
        app = _Bearer(app, allowed.token)
    return Guard(app, replace(allowed, token=""))


class _Api:
    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def health(self, _: Request) -> Response:
        return json_response({"status": "ok", "num_open": self._chat.generator.num_open})

    async def models(self, _: Request) -> Response:
        return json_response({"object": "list", "data": [self._chat.model.row()]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name != self._chat.model.name:
            raise ApiError(404, f"the model {name!r} does not exist", param="model", code="model_not_found")
        return json_response(self._chat.model.row())

    async def chat(self, request: Request) -> Response:
        ticket = self._chat.generator.admit()
        try:
            asked = read_request(await _body(request))
            prompt = await self._chat.prepare(asked)
        except BaseException:
            ticket.release()
            raise
        heading = Heading(self._chat.model.name, asked.stream_options.include_usage)
        send_answer = self._send_stream if asked.stream else self._send_whole
        return _Work(lambda send: send_answer(prompt, heading, ticket, send), ticket)

    async def _send_whole(self, prompt: Prompt, heading: Heading, ticket: Ticket, send: Send) -> None:
        try:
            answer = json_response(heading.whole(await self._chat.answer(prompt, ticket)))
        except Exception as error:
            answer = as_api_error(error).response()
        await answer({"type": "http"}, _nothing, send)

    async def _send_stream(self, prompt: Prompt, heading: Heading, ticket: Ticket, send: Send) -> None:
        """Send events; a failure before the first is an answer with its status, and a later one is an event."""
        has_begun = False
        try:
            async with aclosing(self._chat.stream(prompt, heading, ticket)) as parts:
                async for part in parts:
                    if not has_begun:
                        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
                        has_begun = True
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            raise  # the reader left
        except Exception as error:
            failure = as_api_error(error)
            if not has_begun:
                await failure.response()({"type": "http"}, _nothing, send)
                return
            await send({"type": "http.response.body", "body": event(failure.body()), "more_body": False})


class _Work(Response):
    """An answer that is made while it is sent, and no longer made when nobody waits for it."""

    def __init__(self, work: Callable[[Send], Any], ticket: Ticket) -> None:
        super().__init__()
        self._work, self._ticket = work, ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        try:
            await while_read(self._work(send), receive)
        finally:
            self._ticket.release()


class _Bearer:
    """Lets pass who shows the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
        if scope["type"] == "http" and not (len(given) == 1 and hmac.compare_digest(given[0], self._expected)):
            refusal = ApiError(
                401, "a wrong key, or none: send the server's token as the API key", code="invalid_api_key"
            )
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_bytes(request, MAX_BODY_BYTES)
    except TimeoutError:
        raise ApiError(408, f"no whole request within {BODY_SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise ApiError(400, "the client left") from None


async def _nothing() -> Any:
    raise AssertionError("a finished answer reads nothing")
