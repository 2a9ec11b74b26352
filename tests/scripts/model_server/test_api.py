"""The model server over real connections, with the official client and without manners."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from agent.policies import load_policy
from agent.toolsets import arte_toolset
from inbox_env.errors import UpstreamError, UsageError
from inbox_env.tools import tool_schemas
from scripts.cli import main
from tests.scripts.model_server.served import BASE, TOOLS, SlowEngine, base_model, request, serving

PATH = "/chat/completions"


@pytest.fixture(scope="module")
def running():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def client(running):
    return openai.OpenAI(base_url=running.url, api_key="none", max_retries=0)


def slow(text="one two three four", pause=0.01):
    return SlowEngine(base_model().chat, text, pause)


def test_the_official_client_has_a_conversation_with_tools(client):
    assert [model.id for model in client.models.list()] == ["base"]
    assert client.models.retrieve("base").id == "base"
    messages = list(request()["messages"])
    asked = client.chat.completions.create(model="base", messages=messages, tools=TOOLS, user="me", n=1)
    choice = asked.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert json.loads(call.function.arguments).keys() <= {"keywords", "id", "answer", "sources"}
    chat = base_model().chat
    prompt = chat.prompt_ids(*(message["content"] for message in messages))
    assert asked.usage.prompt_tokens == len(prompt)
    assert asked.usage.total_tokens == asked.usage.prompt_tokens + asked.usage.completion_tokens
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "nothing found"}]
    again = client.chat.completions.create(model="base", messages=messages, tools=TOOLS)
    heard = len(chat.observation_ids(["nothing found"]))
    assert again.usage.prompt_tokens == len(prompt) + asked.usage.completion_tokens + heard


def test_a_stream_says_what_the_whole_answer_says(client):
    for options in ({"tools": TOOLS}, {}, {"tools": TOOLS, "tool_choice": "none"}, {"stop": ["answer"]}):
        body = request(**options)
        whole = client.chat.completions.create(**body)
        text, calls, usage, finish = "", {}, None, None
        for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                text += choice.delta.content or ""
                for part in choice.delta.tool_calls or ():
                    name, arguments = calls.get(part.index, ("", ""))
                    calls[part.index] = (name + (part.function.name or ""), arguments + (part.function.arguments or ""))
        message = whole.choices[0].message
        assert text == (message.content or "")
        told = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        assert list(calls.values()) == told
        assert (usage, finish) == (whole.usage, whole.choices[0].finish_reason)
        assert bool(told) == (options == {"tools": TOOLS})


def test_text_is_streamed_while_it_is_sampled(running):
    times = []
    with (
        serving(engine=slow(pause=0.05)) as late,
        httpx.stream("POST", late.url + PATH, json=request(stream=True), timeout=10) as answer,
    ):
        lines = [line for line in answer.iter_lines() if times.append(time.monotonic()) or line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert times[-1] - times[0] > 0.1


def test_a_named_tool_is_called(client):
    for name in ("return_final_answer", "search_emails", "read_email"):
        choice = {"type": "function", "function": {"name": name}}
        asked = client.chat.completions.create(**request(tools=TOOLS, tool_choice=choice))
        calls = asked.choices[0].message.tool_calls
        assert calls is None or calls[0].function.name == name
        assert asked.usage.completion_tokens <= base_model().card.max_new_tokens
    assert asked.choices[0].finish_reason in ("tool_calls", "length")


def test_sampling_follows_its_seed_and_its_limits(client):
    def said(**options):
        return client.chat.completions.create(**request(temperature=2.0, **options)).choices[0].message.content

    assert len({said(seed=seed) for seed in range(4)}) > 1
    assert said(seed=-5) == said(seed=-5)
    assert len({said() for _ in range(4)}) > 1
    assert said(seed=1, top_p=1e-6) == said(seed=2, top_p=1e-6)
    short = client.chat.completions.create(**request(max_completion_tokens=2, max_tokens=50))
    assert (short.usage.completion_tokens, short.choices[0].finish_reason) == (2, "length")


def test_stop_strings_end_the_turn_before_them(client):
    text = client.chat.completions.create(**request()).choices[0].message.content
    stop = text[5:9]
    cut = client.chat.completions.create(**request(stop=[stop, "never said"])).choices[0]
    assert (cut.message.content, cut.finish_reason) == (text[: text.find(stop)], "stop")


def test_failures_are_told_as_openai_tells_them(running, client):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**request() | {"model": "gpt-9"})
    assert missing.value.code == "model_not_found"
    long = {"role": "user", "content": "word " * 5000}
    with pytest.raises(openai.BadRequestError) as much:
        client.chat.completions.create(**request(long))
    assert much.value.code == "context_length_exceeded"
    assert "1024 tokens" in str(much.value)
    assert "take 50" in str(much.value)
    with pytest.raises(openai.BadRequestError, match="n: only 1"):
        client.chat.completions.create(**request(n=3))
    with pytest.raises(openai.BadRequestError, match="not delete_everything"):
        client.chat.completions.create(
            **request(tools=[{"type": "function", "function": {"name": "delete_everything"}}])
        )
    with pytest.raises(openai.BadRequestError, match="sent_before, to_addr, not max_results"):
        client.chat.completions.create(**request(tools=list(arte_toolset().schemas)))
    with pytest.raises(openai.BadRequestError, match="names none of the tools"):
        client.chat.completions.create(**request(tool_choice=TOOLS[0]))
    client.chat.completions.create(**request(tools=tool_schemas(), max_tokens=1))
    for body, status in ((b"{", 400), (b"x" * 4_000_001, 413)):
        headers = {"Content-Type": "application/json"}
        assert httpx.post(running.url + PATH, content=body, headers=headers).status_code == status
    answers = [
        httpx.post(running.url + PATH, content=json.dumps(request()), headers={"Content-Type": "text/plain"}),
        httpx.get(running.url + PATH),
        httpx.get(running.url + "/models/no"),
        httpx.post(running.url + "/completions", json={}),
    ]
    assert [answer.status_code for answer in answers] == [415, 405, 404, 404]
    assert all(answer.json()["error"]["message"] for answer in answers)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["a rebound name", "another site", "a browser elsewhere"],
)
def test_a_web_site_gets_no_answer(running, headers):
    assert httpx.post(running.url + PATH, json=request(), headers=headers).status_code == 403
    assert httpx.get(running.url + "/models", headers=headers).status_code == 403


def test_with_a_token_nobody_else_is_answered(monkeypatch):
    token = "a-token-of-sixteen-characters"
    with serving(token=token) as running:
        for key in (None, "wrong", token + "x", token[:-1]):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            answer = httpx.get(running.url + "/models", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert httpx.get(f"{running.url}/models?token={token}").status_code == 401
        assert openai.OpenAI(base_url=running.url, api_key=token).models.list().data[0].id == "base"
        monkeypatch.setenv("OPENAI_API_KEY", "a key for somebody else")
        with pytest.raises(UpstreamError, match="lists no model"):
            load_policy(f"openai:{running.url}")
        monkeypatch.setenv("MAILSLEUTH_TOKEN", token)
        assert load_policy(f"openai:{running.url}").limits == base_model().card.limits


def test_a_failing_model_is_a_failure_of_the_server_that_tells_no_text(running):
    class Broken:
        def open(self, *_):
            raise RuntimeError("the budget is 40,000")

    with serving(engine=Broken()) as broken:
        for is_stream in (False, True):
            answer = httpx.post(broken.url + PATH, json=request(stream=is_stream))
            assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
            assert "40,000" not in answer.text


def test_many_at_once_say_what_each_would_say_alone(running):
    bodies = [
        request(
            {"role": "user", "content": f"Where is dinner {number}? {'x ' * number}"},
            stop=["zz"],
            max_tokens=16,
            stream=number % 2,
        )
        for number in range(12)
    ]

    http = httpx.Client(verify=False, timeout=60)

    def said(body):
        text = http.post(running.url + PATH, json=body | {"stream": bool(body["stream"])}).text
        if not body["stream"]:
            return json.loads(text)["choices"][0]["message"]["content"]
        parts = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
        return "".join(part["choices"][0]["delta"].get("content", "") for part in parts)

    alone = [said(body) for body in bodies]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(said, bodies * 3))
    http.close()
    assert together == alone * 3
    assert len(set(alone)) > 1


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--host", "0.0.0.0"], "what it is asked holds mail"),
        (["--host", "0.0.0.0", "--unsafe-allow-network"], "set MAILSLEUTH_TOKEN"),
        (["--policy", "openai:http://127.0.0.1:1/v1"], "is served elsewhere already"),
        (["--policy", "local:no/such/folder"], "no model here"),
        (["--slots", "0"], "--slots is at least 1"),
        (["--device", "abacus"], "no such device"),
    ],
)
def test_wrong_use_gets_one_line(words, shown, capsys, monkeypatch):
    monkeypatch.delenv("MAILSLEUTH_TOKEN", raising=False)
    policy = [] if "--policy" in words else ["--policy", "local:data/base"]
    assert main(["serve", "--openai", *policy, *words]) == UsageError.exit_code
    error = capsys.readouterr().err
    assert shown in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped(running):
    busy = running.url.partition("127.0.0.1:")[2].partition("/")[0]
    words = ["serve", "--openai", "--policy", f"local:{BASE}", "--port", busy, "--device", "cpu"]
    command = [sys.executable, "-c", "from scripts.cli import main; raise SystemExit(main())", *words]
    for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 143)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            shown = re.fullmatch(
                r"model base: (http://127.0.0.1:(\d+)/v1)  \(Ctrl-C ends it\)\n", process.stdout.readline()
            )
            assert int(shown[2]) > int(busy), "the next free one"
            asked = openai.OpenAI(base_url=shown[1], api_key="none").chat.completions.create(**request(tools=TOOLS))
            assert asked.choices[0].message.tool_calls
            process.send_signal(number)
            assert process.wait(10) == code
            assert process.stderr.read() == ""
