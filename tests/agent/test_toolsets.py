"""ART-E's tools as a toolset: what they find, show and refuse; and a whole episode with them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from agent.arena import Arena
from agent.policies.chat_models import ChatPolicy, load_chat
from agent.rollout import rollout
from agent.toolsets import MAX_HITS, ArteTools, arte_toolset, own_toolset
from inbox_env.actions import FinalAnswer, StopReason, ToolCall, ToolResult
from inbox_env.emails import Address, Email
from inbox_env.env import EnvLimits
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.store import build_inbox
from tests.agent.chat_server import call, completion, serving

ME, ANN, BOB = (Address(f"{name} Lee", f"{name.lower()}@x.example") for name in ("Me", "Ann", "Bob"))


def mail(day: int, sender: Address, to: Address, body: str) -> Email:
    return Email(f"<{day}@x>", datetime(2001, 5, day, 12, tzinfo=UTC), sender, (to,), f"Note {day}", body)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    path = tmp_path_factory.mktemp("arte") / "m.db"
    mails = [mail(day, ANN if day % 2 else BOB, ME, "falcon budget" if day < 5 else "falcon") for day in range(1, 15)]
    build_inbox(path, "me", [*mails, mail(20, ME, BOB, "falcon sent by me")], owner=ME)
    build_inbox(path, "you", [mail(25, ANN, BOB, "falcon of others")], owner=BOB)
    return path


@pytest.fixture(scope="module")
def tools(mailbox):
    return ArteTools(Inbox.open(mailbox, "me"))


def found(tools, **arguments):
    result = tools.execute(ToolCall("search_emails", arguments))
    assert isinstance(result, ToolResult)
    assert not result.is_error, result.content
    ids = [row["message_id"] for row in json.loads(result.content)]
    assert ids == list(result.listed)
    return [int(one.strip("<>").partition("@")[0]) for one in ids]


def test_every_keyword_occurs_and_the_newest_ten_come_first(tools):
    assert found(tools, keywords=["falcon", "budget"]) == [4, 3, 2, 1]
    assert found(tools, keywords=["falcon"]) == [20, *range(14, 5, -1)]
    assert found(tools, keywords=["falcon"], max_results=2) == [20, 14]
    assert found(tools, keywords=["falcon", "osprey"]) == []


def test_people_and_days_bound_a_search(tools):
    assert found(tools, keywords=["falcon"], from_addr="me@x.example") == [20]
    assert found(tools, keywords=["falcon"], to_addr="bob@x.example") == [20]
    # the first day is part of it, the last is not
    assert found(tools, keywords=["falcon"], sent_after="2001-05-03", sent_before="2001-05-05") == [4, 3]


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("search_emails", {"keywords": []}, "keywords"),
        ("search_emails", {"keywords": ["x"], "sent_after": "May"}, "sent_after"),
        ("search_emails", {"keywords": ["x"], "max_results": -1}, "max_results"),
        ("search_emails", {"keywords": ["x"], "max_results": 11}, "max_results"),
        ("search_emails", {"keywords": ["x"], "inbox": "you"}, "inbox"),
        ("read_email", {"message_id": "<25@x>"}, "no such email"),  # of another inbox
        ("read_email", {"message_id": "3"}, "no such email"),  # a number is no id here
        ("return_final_answer", {"answer": ""}, "answer"),
        ("delete_email", {}, "one of search_emails"),
    ],
)
def test_a_wrong_call_is_an_error_that_names_it(tools, name, arguments, shown):
    result = tools.execute(ToolCall(name, arguments))
    assert isinstance(result, ToolResult)
    assert result.is_error
    assert shown in result.content


def test_a_mail_is_read_whole(tools):
    result = tools.execute(ToolCall("read_email", {"message_id": "<3@x>"}))
    shown = json.loads(result.content)
    assert (shown["from_address"], shown["to_addresses"]) == ("ann@x.example", ["me@x.example"])
    assert (shown["date"], shown["body"]) == ("2001-05-03 12:00:00", "falcon budget")
    assert result.opened == ("<3@x>",)


@pytest.mark.parametrize("said", ["I don't know", "I don’t know.", " i DON'T  know "])
def test_not_knowing_is_said_in_words(tools, said):
    final = tools.execute(ToolCall("return_final_answer", {"answer": said, "sources": []}))
    assert final == FinalAnswer(None, (), ())


def test_an_answer_keeps_known_and_unknown_sources_apart(tools):
    final = tools.execute(ToolCall("return_final_answer", {"answer": "40,000", "sources": ["<3@x>", "<25@x>"]}))
    assert final == FinalAnswer("40,000", ("<3@x>",), ("<25@x>",))


async def test_a_chat_model_plays_with_them_and_later_mail_is_seen(mailbox, monkeypatch):
    question = Question(
        id="q", inbox="me", question="What?", answer="x", message_ids=("<3@x>",), asked_on=date(2001, 5, 6)
    )
    arena = Arena.open(mailbox, [question], EnvLimits()).with_tools(arte_toolset().make_tools)
    search = completion(call("search_emails", {"keywords": ["falcon"]}))
    with serving(search, completion(call("return_final_answer", {"answer": "I don't know", "sources": []}))) as server:
        policy: ChatPolicy = load_chat(f"openai:{server.url}#m", toolset=arte_toolset())
        played = (await rollout(policy, arena.env(question))).trajectory
    request = server.requests[0]
    assert [tool["function"]["name"] for tool in request["tools"]] == [
        tool["function"]["name"] for tool in own_toolset().schemas
    ]
    assert request["tools"][1]["function"]["parameters"]["required"] == ["message_id"]
    assert "2001-05-06" in request["messages"][0]["content"]
    assert len(played.turns[0].results[0].listed) == MAX_HITS
    assert played.turns[0].results[0].listed[0] == "<20@x>"  # dated after the question, as in ART-E
    assert played.stop_reason is StopReason.GAVE_UP
