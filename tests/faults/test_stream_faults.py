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

from agent.arena import Arena
from agent.policies.scripted import Script, ScriptedPolicy, perfect_reader
from agent.rollout import rollout
from agent.tracking import open_tracker
from inbox_env.emails import Address, Email
from inbox_env.env import EnvLimits
from inbox_env.errors import UpstreamError
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import write_trajectories
from scripts import cli
from scripts.playground.event_stream import Events, EventStream
from scripts.playground.server import listen
from tests.agent.tiny import make_config
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


@pytest.fixture
def key(monkeypatch):
    """Keys in the environment, one with signs that addresses escape."""
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("HF_TOKEN", "hf_canary/+0123456789")
    return f"401 for https://x.example/?key={CANARY}&t=hf_canary%2F%2B0123456789 (hf_canary/+0123456789)"


@pytest.mark.parametrize("kind", [RuntimeError, lambda text: UpstreamError(1, "refused", where=text)])
@pytest.mark.parametrize("padding", [0, 140, 270])
def test_f60_no_key_is_in_what_a_crash_prints(key, kind, padding, monkeypatch, capsys):
    def crash(*_):
        raise kind("x" * padding + " " + key)

    monkeypatch.setattr(cli, "_dispatch", crash)
    for options in ([], ["--debug"]):
        assert cli.main(["stats", *options]) != 0
        said = "".join(capsys.readouterr())
        assert "error[" in said
        assert "canary" not in said


async def test_f60_no_key_is_in_a_trajectory_or_the_page_that_is_exported_of_it(key, tmp_path):
    def script(*_: object) -> Script:
        raise RuntimeError(key)
        yield

    inbox = generate_inbox("dev", 1, num_emails=100, num_questions=4)
    build_inbox(tmp_path / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    arena = Arena.open(tmp_path / "mail.db", inbox.questions, EnvLimits())
    played = await rollout(ScriptedPolicy("p", script, perfect_reader({})), arena.env(arena.questions[0]))
    path = tmp_path / "plays.jsonl"
    write_trajectories(path, [played.trajectory])
    assert "[WANDB_API_KEY]" in path.read_text()
    assert cli.main(["view", str(path), "--export", str(tmp_path / "page.html")]) == 0
    for file in (path, tmp_path / "page.html"):
        assert "canary" not in file.read_text()


@pytest.mark.slow
def test_f60_no_key_is_in_the_folder_of_a_tracker_that_is_offline(key, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = make_config(tmp_path).model_copy(update={"track": "wandb"})
    with open_tracker(config, tmp_path) as tracker:
        tracker.log({"step": 1, "loss": 0.5})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("wandb" in str(path) for path in files)
    assert not [path for path in files if b"canary" in path.read_bytes()]
