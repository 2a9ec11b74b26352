"""Server-sent events whose source ends with the reader: when the browser leaves, what makes the events is cancelled.

Knows nothing of what the events say.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Event = tuple[str, dict[str, Any]]
Events = AsyncGenerator[Event, None]


class EventStream(Response):
    """Sends the events of an async generator, which is closed when it ends, when it fails, and when nobody reads."""

    media_type = "text/event-stream"

    def __init__(self, events: Events) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until one of both sides ends."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await while_read(self._send_all(send), receive)

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": encode(event), "more_body": True})
                await asyncio.sleep(
                    0
                )  # to a reader that has left, sending waits for nothing, and nobody else would run
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def encode(event: Event) -> bytes:
    """Return one event on the wire; JSON has no line breaks, so that no text can end it early."""
    name, data = event
    return f"event: {name}\ndata: {json.dumps(data, default=str)}\n\n".encode()


async def while_read(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run `work`, which answers a request, until it ends or the reader has left, which cancels it."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_wait_for_leaving(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await working


async def _wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
