"""API policies: the conversation that is sent, what it costs, what is understood, and where mail would go."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from agent.policies import load_policy
from agent.policies.api import destination
from agent.policies.api_client import Patience
from agent.rollout import rollout, rollout_many
from inbox_env.actions import StopReason
from inbox_env.errors import UsageError
from inbox_env.tools import tool_schemas
from tests.agent.chat_server import call, completion, final, serving

SEARCH = completion(call("search_emails", {"keywords": ["Room"]}, "c7"), text="Looking.")


@pytest.fixture
def policy_at(monkeypatch):
    def make(server, **patience):
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        return load_policy("api:openai/some-model")

    return make


async def test_the_model_gets_tools_and_the_conversation_as_it_grows(arena, policy_at):
    with serving(SEARCH, final(None)) as server:
        played = await rollout(policy_at(server), arena.env(arena.questions[0]))
    first, second = (request["messages"] for request in server.requests)
    assert server.requests[0]["tools"] == tool_schemas()
    assert [message["role"] for message in first] == ["system", "user"]
    assert first[1]["content"] == arena.questions[0].question
    assert second[:2] == first
    assert second[2]["content"] == "Looking."
    assert second[2]["tool_calls"][0]["function"] == {"name": "search_emails", "arguments": '{"keywords": ["Room"]}'}
    assert (second[3]["role"], second[3]["tool_call_id"]) == ("tool", "c7")
    assert second[3]["content"] == played.trajectory.turns[0].results[0].content
    assert played.trajectory.stop_reason is StopReason.GAVE_UP
    assert played.trajectory.policy == "api:openai/some-model"
    assert played.trace is None


async def test_what_a_turn_cost_is_in_its_record(arena, policy_at):
    with serving(SEARCH, final(None)) as server:
        turns = (await rollout(policy_at(server), arena.env(arena.questions[0]))).trajectory.turns
    assert [(turn.num_prompt_tokens, turn.num_tokens) for turn in turns] == [(100, 7), (100, 7)]


async def test_two_calls_of_one_turn_get_their_results_by_id(arena, policy_at):
    both = completion(call("search_emails", {"keywords": ["Room"]}, "a"), call("read_email", {"id": 1}, "b"))
    with serving(both, final(None)) as server:
        played = await rollout(policy_at(server), arena.env(arena.questions[0]))
    heard = server.requests[1]["messages"][-2:]
    assert [message["tool_call_id"] for message in heard] == ["a", "b"]
    assert [message["content"] for message in heard] == [r.content for r in played.trajectory.turns[0].results]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "return_final_answer", "arguments": {"answer": "$5", "sources": []}}</tool_call>',
        '```json\n{"name": "return_final_answer", "arguments": {"answer": "$5", "sources": []}}\n```',
    ],
)
async def test_a_call_that_a_server_left_in_the_text_is_made(arena, policy_at, text):
    with serving(completion(text=text)) as server:
        played = await rollout(policy_at(server), arena.env(arena.questions[0]))
    assert played.trajectory.answer == "$5"


async def test_a_turn_without_a_call_is_told_so_by_the_user(arena, policy_at):
    with serving(completion(text="Tuesday."), final(None)) as server:
        played = await rollout(policy_at(server), arena.env(arena.questions[0]))
    said, heard = server.requests[1]["messages"][-2:]
    assert said == {"role": "assistant", "content": "Tuesday."}
    assert heard == {"role": "user", "content": "error: no tool call found: call one of the tools"}
    assert played.trajectory.turns[0].text == "Tuesday."


def test_episodes_of_several_event_loops_and_many_at_once_work(arena, policy_at):
    with serving(final()) as server:
        policy = policy_at(server)
        for _ in range(2):
            played = asyncio.run(rollout_many(policy, arena.envs(arena.questions[:20]), concurrency=8))
            assert {one.trajectory.stop_reason for one in played} == {StopReason.ANSWERED}
    assert len(server.requests) == 40


@pytest.mark.parametrize(
    ("spec", "environment", "host"),
    [
        ("api:openai/m", {}, "openai"),
        ("api:openai/m", {"OPENAI_API_BASE": "https://llm.example.org/v1"}, "llm.example.org"),
        ("api:openai/m", {"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}, ""),
        ("api:hosted_vllm/m", {"HOSTED_VLLM_API_BASE": "http://[::1]:8000/v1"}, ""),
        ("api:openai/m", {"MAILSLEUTH_API_BASE": "localhost:8000"}, ""),
        ("api:openai/m", {"MAILSLEUTH_API_BASE": "http://127.0.0.1.example.org/v1"}, "127.0.0.1.example.org"),
        ("api:openai/m", {"MAILSLEUTH_API_BASE": "http://localhost@example.org/v1"}, "example.org"),
        ("api:openai/m", {"MAILSLEUTH_API_BASE": "http://0.0.0.0:80/v1"}, "0.0.0.0"),
        ("api:ollama_chat/m", {}, ""),
        ("api:ollama_chat/m", {"OLLAMA_API_BASE": "http://gpu.example.org:11434"}, "gpu.example.org"),
        ("api:anthropic/m", {}, "anthropic"),
    ],
)
def test_where_mail_would_go_is_known_before_it_goes(monkeypatch, spec, environment, host):
    for name in ("MAILSLEUTH_API_BASE", "OPENAI_API_BASE", "OPENAI_BASE_URL", "OLLAMA_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert destination(spec) == host


@pytest.mark.parametrize("spec", ["api:", "api:gpt", "api:/m", "api:openai/"])
def test_a_policy_without_provider_or_model_is_refused(spec):
    with pytest.raises(UsageError, match="no model named by"):
        load_policy(spec)


def test_litellm_is_loaded_by_the_first_call_only():
    command = "import sys; from agent.policies import load_policy; load_policy('api:openai/m'); "
    command += "sys.exit('litellm' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


async def test_an_answer_cut_by_its_token_limit_ends_the_episode(arena, policy_at):
    with serving(completion(text="I think that", finish="length")) as server:
        played = await rollout(policy_at(server), arena.env(arena.questions[0]))
    assert played.trajectory.stop_reason is StopReason.MAX_TOKENS


def test_patience_is_bounded_by_default():
    assert Patience().call_seconds < Patience().budget_seconds <= 600
    assert 0 < Patience().first_wait_seconds < Patience().max_wait_seconds < Patience().budget_seconds
