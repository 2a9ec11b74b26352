"""`mailsleuth serve --mcp`: the official client talks to it as to any server, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.store import build_inbox
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from scripts.mcp_server import MAX_RESULT_BYTES, cut, make_server
from tests.agent.tiny import make_tokenizer, write_model_folder

pytest.importorskip("mcp.server.mcpserver")
RECIPE = SyntheticRecipe("dev", (1, 2), num_emails=100, num_questions=20)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    folder = tmp_path_factory.mktemp("mcp")
    mailbox, questions = ensure_mailbox(RECIPE, folder)
    model = write_model_folder(folder / "model", make_tokenizer())
    first = sorted({question.inbox for question in questions})[0]
    words = ["-c", "from scripts.cli import main; main()", "serve", "--mcp", "--mailbox", str(mailbox)]
    return [sys.executable, *words, "--inbox", first, "--policy", f"local:{model}"], str(mailbox)


async def _talk(command: list[str]) -> dict[str, Any]:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(server) as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        found = await session.call_tool("search_emails", {"keywords": ["hello"]})
        read = await session.call_tool("read_email", {"id": "100"})
        later = await session.call_tool("read_email", {"id": "<0.dev-002@mail.example>"})
        asked = await session.call_tool("ask_inbox", {"question": "Where is dinner?"})
    return {"tools": tools, "found": found, "read": read, "later": later, "asked": asked}


@pytest.fixture(scope="module")
def said(command) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(_talk(command[0]), 60))


def text_of(result: Any) -> str:
    return str(result.content[0].text)


def test_the_official_client_finds_three_tools_and_uses_them(said) -> None:
    assert set(said["tools"]) == {"ask_inbox", "search_emails", "read_email"}
    assert " found" in text_of(said["found"])
    assert text_of(said["read"]).strip()
    assert "error" in text_of(said["later"]), "a mail of another inbox is no mail of this one"
    answer = json.loads(text_of(said["asked"]))
    assert answer["question"] == "Where is dinner?"
    assert {"answer", "sources", "stop_reason"} <= answer.keys()


def test_no_tool_can_choose_the_inbox_or_the_day(said) -> None:
    for tool in said["tools"].values():
        schema = tool.input_schema if hasattr(tool, "input_schema") else tool.inputSchema
        assert not {"inbox", "mailbox", "as_of"} & set(schema["properties"])


@pytest.mark.slow
def test_f79_malformed_frames_do_not_end_it_and_nothing_else_is_on_stdout(command) -> None:
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    frames = ["{", "[]", '{"jsonrpc": "2.0", "id": 7, "method": "no/such"}', "\x00\x1b[2J", json.dumps(hello)]
    with subprocess.Popen(
        command[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("".join(f"{frame}\n" for frame in frames).encode())
        server.stdin.flush()
        while (line := json.loads(server.stdout.readline())).get("id") != 1:
            assert line["jsonrpc"] == "2.0"
        assert line["result"]["serverInfo"]["name"] == "mailsleuth"
        server.stdin.close()
        assert server.wait(10) == 0


def test_f79_results_are_cut_at_whole_characters() -> None:
    assert cut("ä" * MAX_RESULT_BYTES) == "ä" * (MAX_RESULT_BYTES // 2)
    assert cut("short") == "short"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("read_email", {"id": 1}, "Subject: Boat"),
        ("read_email", {"id": "1"}, "Subject: Boat"),
        ("read_email", {}, "error: id: is missing"),
        ("read_email", {"id": ["SECRET"]}, "error: id: input should be a valid integer"),
        ("search_emails", {}, "error: keywords: is missing"),
        ("ask_inbox", {}, "error: question: is missing"),
    ],
)
def test_a_number_is_an_id_and_wrong_arguments_get_one_line_of_our_own(tmp_path, tool, arguments, said) -> None:
    from mcp.server.mcpserver.exceptions import ToolError

    boat = Email("<b@x>", datetime(2001, 5, 1, tzinfo=UTC), Address("Ann", "ann@x.example"), (), "Boat", "At six.")
    build_inbox(tmp_path / "my.db", "me", [boat])
    inbox = Inbox.open(tmp_path / "my.db", "me")
    server = make_server(SimpleNamespace(inbox=inbox, today=None))
    try:
        text = text_of(asyncio.run(server.call_tool(tool, arguments)))
    except ToolError as error:
        text = str(error)
        assert text == said
    assert said in text
    inbox.close()


def test_an_inbox_must_be_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from scripts.cli import main

    assert main(["serve", "--mcp", "--mailbox", str(tmp_path / "x.db")]) == 2
    assert "--inbox" in capsys.readouterr().err
