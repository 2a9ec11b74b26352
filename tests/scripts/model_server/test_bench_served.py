"""The served agent plays as it plays in this process: the same tokens, the same answers, through faults and a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from agent.arena import Arena
from agent.policies import load_local, load_policy
from agent.policies.chat_models import ChatPolicy, listed_model
from agent.policies.local import LocalPolicy
from agent.rollout import rollout_many
from agent.toolsets import Toolset
from inbox_env.actions import ToolCall
from inbox_env.env import EnvLimits
from inbox_env.questions import write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.tools import tool_schemas
from inbox_env.trajectory import read_trajectories
from scripts.cli import main
from tests.scripts.model_server.faulty_proxy import faulty
from tests.scripts.model_server.served import BASE, PlainClient, Recorder, Script, base_model, serving

NEEDS_LITELLM = pytest.mark.skipif(find_spec("litellm") is None, reason="needs the extra api")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A mailbox, its question file, and its questions."""
    folder = tmp_path_factory.mktemp("served")
    inbox = generate_inbox("dev", 5, num_emails=200, num_questions=20)
    build_inbox(folder / "m.db", inbox.name, inbox.emails, owner=inbox.owner)
    write_questions(folder / "q.jsonl", inbox.questions)
    return folder, list(inbox.questions)


def told(trajectory):
    """What an episode came to, call by call."""
    calls = [
        (result.name, _without_spaces(result.arguments), result.content)
        for turn in trajectory.turns
        for result in turn.results
    ]
    return trajectory.stop_reason, trajectory.answer, trajectory.sources, calls


def _without_spaces(value):
    if isinstance(value, dict):
        return {key: _without_spaces(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_spaces(item) for item in value]
    return value.strip() if isinstance(value, str) else value


async def play(policy, folder, questions):
    arena = Arena.open(folder / "m.db", questions, EnvLimits()).with_limits(policy.limits)
    return await rollout_many(policy, [arena.env(question) for question in questions], concurrency=8)


def served_policy(running):
    """The policy that `openai:URL` names, with a client that needs no library."""
    listed = listed_model(running.url)
    toolset = Toolset("own", listed.card.prompt, tool_schemas())
    return ChatPolicy("served", PlainClient(running), toolset, card=listed.card)


@pytest.mark.parametrize("client", ["plain", pytest.param("litellm", marks=[pytest.mark.slow, NEEDS_LITELLM])])
async def test_over_the_wire_the_agent_reads_and_says_the_same_tokens(site, client):
    folder, questions = site
    questions = questions[::3] if client == "plain" else questions
    local = await play(load_local(BASE), folder, questions)
    recorder = Recorder(base_model().engine)
    with serving(engine=recorder) as running:
        policy = served_policy(running) if client == "plain" else load_policy(f"openai:{running.url}")
        served = await play(policy, folder, questions)
    assert [told(one.trajectory) for one in served] == [told(one.trajectory) for one in local]
    assert len({one.trajectory.stop_reason for one in local}) > 1
    assert sum(len(one.trajectory.turns) for one in local) == len(recorder.turns) > 2 * len(questions)
    longest = {}
    for prompt, sampled in sorted(recorder.turns, key=lambda turn: len(turn[0])):
        longest[tuple(prompt[:40])] = prompt + sampled
    traces = [one.trace.token_ids for one in local]
    assert all(any(ids == trace for ids in longest.values()) for trace in traces)
    usage = [(turn.num_prompt_tokens, turn.num_tokens) for one in served for turn in one.trajectory.turns]
    assert sorted(usage) == sorted((len(prompt), len(sampled)) for prompt, sampled in recorder.turns)


async def test_turns_without_a_valid_call_are_heard_as_they_are_here(site):
    folder, questions = site
    chat = base_model().chat
    search = ToolCall("search_emails", {"keywords": ["dinner"]})
    turns = [
        chat.turn_ids("I shall look for it.", []),
        chat.turn_ids("", [search])[:-2] + chat.plain_ids("oops")[:1] + chat.turn_ids("", [])[-1:],
        chat.turn_ids("Looking.", [search, ToolCall("read_email", {"id": "1"})]),
        chat.turn_ids("", [ToolCall("return_final_answer", {"answer": None, "sources": []})]),
    ]
    card = base_model().card
    here, there = Script(chat, turns), Script(chat, turns)
    limits = {"limits": card.limits, "max_new_tokens": card.max_new_tokens, "prompt": card.prompt}
    (local,) = await play(LocalPolicy(here, chat, **limits), folder, questions[:1])
    with serving(engine=there) as running:
        (served,) = await play(served_policy(running), folder, questions[:1])
    assert there.read == here.read
    assert told(served.trajectory) == told(local.trajectory)
    assert len(local.trajectory.turns) == 4
    assert [len(turn.results) for turn in local.trajectory.turns] == [1, 1, 2, 1]
    assert [turn.results[0].is_error for turn in local.trajectory.turns] == [True, True, False, False]


def bench_words(folder, out, *policies, options=()):
    words = ["bench", "--mailbox", str(folder / "m.db"), "--questions", str(folder / "q.jsonl"), "--out", str(out)]
    return [*words, *(word for policy in policies for word in ("--policy", policy)), "--call-seconds", "5", *options]


def rows_of(out):
    return json.loads((out / "summary.json").read_text())["policies"]


FIGURES = (
    "num_correct",
    "accuracy",
    "ci95",
    "found",
    "read",
    "cited",
    "abstained_right",
    "answered_wrong",
    "mean_turns",
)


@NEEDS_LITELLM
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:pydantic")
def test_bench_has_the_same_figures_here_and_over_the_wire_through_errors_and_hangs(site, tmp_path):
    folder, _ = site
    with serving() as running, faulty(running.url, errors=range(10, 400, 20), hangs=range(25, 400, 50)) as proxy:
        policies = [f"local:{BASE}", f"openai:{running.url}", f"openai:{proxy.url}"]
        assert main(bench_words(folder, tmp_path / "out", *policies, options=("--call-seconds", "1"))) == 0
        assert proxy.num_requests > 50, "two or more of each fault"
    rows = rows_of(tmp_path / "out")
    here, *there = [[row[name] for name in FIGURES] for row in rows]
    assert there == [here, here]
    assert 0 < rows[0]["accuracy"] < 1
    assert [row["errors"]["outage"] for row in rows] == [0, 0, 0]


@NEEDS_LITELLM
@pytest.mark.slow
def test_a_killed_bench_of_a_served_agent_goes_on_without_a_lost_or_doubled_episode(site, tmp_path):
    folder, questions = site
    with serving() as running, faulty(running.url, errors=(9, 30)) as proxy:
        words = bench_words(folder, tmp_path / "out", f"openai:{proxy.url}#base", options=("--api-concurrency", "1"))
        process = subprocess.Popen([sys.executable, "-c", "from scripts.cli import main; main()", *words])
        try:
            wait_for_lines(tmp_path / "out", 5)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        (path,) = (tmp_path / "out").glob("openai*.jsonl")
        whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        assert 5 <= len(whole) < len(questions)
        assert main(words) == 0
        expected = tmp_path / "expected"
        assert main(bench_words(folder, expected, f"local:{BASE}")) == 0
    played = list(read_trajectories(path))
    assert sorted(one.question_id for one in played) == sorted(question.id for question in questions)
    assert path.read_text().startswith("".join(whole))
    assert [rows_of(tmp_path / "out")[0][name] for name in FIGURES] == [rows_of(expected)[0][name] for name in FIGURES]


def wait_for_lines(folder, count):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        lines = [line for path in folder.glob("openai*.jsonl") for line in path.read_text().splitlines()]
        if len(lines) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was played")
