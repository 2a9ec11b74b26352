"""F74, F79 and F60: a reader that does not read, a result that is too large, and a key in whatever fails."""

from __future__ import annotations

import socket
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inbox_env.emails import Address, Email
from inbox_env.store import build_inbox
from scripts.playground.event_stream import Events, EventStream
from scripts.playground.server import listen
from tests.scripts.playground.served import running

CANARY = "sk-canary-0123456789abcdef"
STREAM = b"GET /flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_f74_readers_that_do_not_read_hold_up_no_other_and_are_not_written_ahead_for():
    state = {"sent": 0, "closed": 0}

    async def flood() -> Events:
        try:
            while True:
                state["sent"] += 1
                yield "noise", {"text": "x" * 100_000}
        finally:
            state["closed"] += 1

    async def stream(_: Request) -> Response:
        return EventStream(flood())

    async def quick(_: Request) -> Response:
        return PlainTextResponse("here")

    app = Starlette(routes=[Route("/flood", stream), Route("/quick", quick)])
    with running(app, listen("127.0.0.1", 0)) as url:
        port = int(url.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(5)]
        for one in slow:
            one.sendall(STREAM)
        deadline = time.monotonic() + 5
        before = -1
        while state["sent"] != before and time.monotonic() < deadline:  # until no event is made any more
            before = state["sent"]
            time.sleep(0.1)
        assert 5 <= state["sent"] == before < 1000, "events wait for their reader"
        started = time.monotonic()
        assert [httpx.get(f"{url}/quick").text for _ in range(5)] == ["here"] * 5
        assert time.monotonic() - started < 2
        for one in slow:
            one.close()
        while state["closed"] < 5 and time.monotonic() < deadline + 5:
            time.sleep(0.02)
    assert state["closed"] == 5


async def test_f79_a_huge_mail_and_a_huge_answer_over_mcp_are_cut_to_64_kilobytes(tmp_path, monkeypatch):
    pytest.importorskip("mcp.server.mcpserver")
    from inbox_env.inbox import Inbox
    from inbox_env.store import EmailStore
    from scripts import mcp_server
    from scripts.inbox_answers import Answers

    class Verbose(Answers):
        async def ask(self, text: str, on_turn: object = None) -> dict[str, str]:
            del on_turn
            return {"question": text, "answer": "ä" * 500_000}

    ann = Address("Ann", "ann@test.invalid")
    path = tmp_path / "mail.db"
    build_inbox(
        path, "ann", [Email("<1@test.invalid>", None, ann, (ann,), subject="big", body="ä" * 500_000)], owner=ann
    )
    style = mcp_server.ResultStyle(page_chars=1_000_000)
    monkeypatch.setattr(mcp_server, "ResultStyle", lambda: style)
    inbox = Inbox(EmailStore.open(path), "ann")
    server = mcp_server.make_server(Verbose(inbox, None, None, 5.0))
    for name, arguments in (("read_email", {"id": "1"}), ("ask_inbox", {"question": "?"})):
        result = await server.call_tool(name, arguments)
        blocks = result.content if hasattr(result, "content") else result[0] if isinstance(result, tuple) else result
        text = "".join(block.text for block in blocks)
        assert 60_000 < len(text.encode()) <= 64_000
    inbox.close()
