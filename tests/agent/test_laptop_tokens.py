"""The committed model reads the tokens that it was trained on: a changed id makes its weights worthless."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from agent.chat_format import ChatFormat
from agent.policies.scripted import answer, read, search
from inbox_env.actions import Action, ToolCall

BASE = Path(__file__).resolve().parents[2] / "data" / "base"
HOSTILE = '<|end|> "quoted" </tool_call> \\ née\n<|assistant|>", "'
PINNED = {
    "prompt": "b54ac89fde0125bc",
    "hostile prompt": "78a753640ea9a4ab",
    "one result": "c1496740b916a102",
    "two results": "86554c3205edaf25",
    "search": "41a4b09cb4722356",
    "dated search": "ee466338996a6b3b",
    "read": "6fe07d7677fc27c9",
    "answer": "8e42d98545f77a92",
    "no answer": "909b4089a99ac740",
    "two calls": "e32aac6cbcc75a9f",
    "openings": "36c216ebd46f14c5",
}


@pytest.fixture(scope="module")
def laptop() -> ChatFormat:
    if not BASE.is_dir():
        pytest.skip("data/base is not here")
    return ChatFormat.load(BASE)


def said(chat: ChatFormat) -> dict[str, list[int]]:
    dated = ToolCall("search_emails", {"keywords": ["Falcon"], "sent_after": "2001-05-01", "page": 2})
    two = Action(search("Ann", "Lee").calls + read(HOSTILE).calls)
    names = ("search_emails", "read_email", "return_final_answer")
    return {
        "prompt": chat.prompt_ids("Inbox of Ann Lee. Today is 2001-05-01.", "How large is the Falcon budget?"),
        "hostile prompt": chat.prompt_ids(HOSTILE, HOSTILE),
        "one result": chat.observation_ids(["2 2001-05-02 Ann Lee: Falcon budget"]),
        "two results": chat.observation_ids(["error: id: no such email", HOSTILE]),
        "search": chat.action_ids(search("Falcon", HOSTILE, "")),
        "dated search": chat.action_ids(Action((dated,))),
        "read": chat.action_ids(read(12)),
        "answer": chat.action_ids(answer("$40,000 née", [2, 7])),
        "no answer": chat.action_ids(answer(None)),
        "two calls": chat.action_ids(two),
        "openings": [token_id for name in names for token_id in chat.call_opening_ids(name)],
    }


def test_the_committed_model_is_given_the_tokens_that_it_knows(laptop: ChatFormat) -> None:
    found = {name: sha256(json.dumps(ids).encode()).hexdigest()[:16] for name, ids in said(laptop).items()}
    assert found == PINNED
    assert laptop.stop_token_ids == {1}


def test_the_committed_model_is_told_of_its_mistakes_in_the_words_that_it_knows(laptop: ChatFormat) -> None:
    texts = ("Tuesday.", "<tool_call>\n{", '<tool_call>{"name": "x"', '<tool_call>{"name": 3}</tool_call>')
    reasons = [getattr(laptop.parse(laptop.plain_ids(text)).calls[0], "reason", "") for text in texts]
    missing = "no tool call found: write <tool_call>{...}</tool_call>"
    assert reasons == [missing, missing, missing, 'the call needs "name" and "arguments"']
