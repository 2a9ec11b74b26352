"""Chat models without function calling: what they are told, and what counts as a call."""

from __future__ import annotations

import pytest

from agent.policies import load_policy
from agent.policies.plain_json import read_call
from agent.rollout import rollout
from inbox_env.actions import InvalidToolCall, StopReason, ToolCall
from tests.agent.chat_server import completion, serving

SEARCH = '{"name": "search_emails", "arguments": {"keywords": ["Room"]}}'
CALL = ToolCall("search_emails", {"keywords": ["Room"]})


@pytest.mark.parametrize(
    "text",
    [SEARCH, f"```json\n{SEARCH}\n```", f"Let me look.\n{SEARCH}", f"<tool_call>{SEARCH}</tool_call>"],
)
def test_a_call_is_found_however_it_is_wrapped(text):
    assert read_call(text).calls == (CALL,)


@pytest.mark.parametrize("text", ["", "I will search for Room.", '{"keywords": ["Room"]}', '{"name": "search_em'])
def test_what_is_no_call_is_told_the_form(text):
    (call,) = read_call(text).calls
    assert isinstance(call, InvalidToolCall)


async def test_tools_stand_in_the_prompt_and_results_are_words_of_the_user(arena):
    final = '{"name": "return_final_answer", "arguments": {"answer": null, "sources": []}}'
    with serving(completion(text=SEARCH), completion(text=final)) as server:
        policy = load_policy(f"openai+json:{server.url}#m")
        played = (await rollout(policy, arena.env(arena.questions[0]))).trajectory
    first, second = server.requests
    assert "tools" not in first
    assert "search_emails" in first["messages"][0]["content"]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][3]["content"] == played.turns[0].results[0].content
    assert played.stop_reason is StopReason.GAVE_UP
    assert not any(result.is_error for turn in played.turns for result in turn.results)
