"""Rows F35, F36 and F40 to F42: a policy that babbles, loops, dies or hangs, and a clock that lies."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import UTC, date, datetime

import pytest

from agent.arena import Arena
from agent.policies.api import load_api
from agent.policies.local import LocalPolicy
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read, search
from agent.rollout import check_errors, rollout, rollout_many
from inbox_env.actions import StopReason
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.errors import ExitCode, UpstreamError
from inbox_env.inbox import Inbox
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import Trajectory, read_trajectories, write_trajectories
from scripts.cli import main
from tests.agent.chat_families import family_tokenizer
from tests.agent.chat_server import call, completion, final, serving
from tests.agent.tiny import LIMITS, ScriptedEngine, make_model, make_tokenizer, write_model_folder


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=40)
    path = tmp_path_factory.mktemp("agent") / "mail.db"
    build_inbox(path, inbox.name, inbox.emails, owner=inbox.owner)
    return path, inbox


@pytest.fixture
def arena(mailbox):
    path, inbox = mailbox
    return Arena.open(path, inbox.questions, EnvLimits())


@pytest.fixture(scope="module")
def llama():
    from agent.chat_format import ChatFormat

    return ChatFormat(family_tokenizer("llama"))


def calling(name, arguments):
    return completion(call(name, arguments))


MISTAKES = {
    "invalid JSON": calling("search_emails", '{"keywords": ["Room"'),
    "JSON that is no object": calling("search_emails", "[1]"),
    "wrong types": calling("search_emails", {"keywords": {"a": 1}, "page": "x"}),
    "a number for text": calling("read_email", {"id": 1.5}),
    "not a number": calling("search_emails", '{"keywords": ["x"], "page": NaN}'),
    "half a surrogate pair": calling("search_emails", '{"keywords": ["\\ud83d"]}'),
    "an unknown argument": calling("read_email", {"id": 1, "inbox": "other"}),
    "a missing argument": calling("read_email", {}),
    "no arguments": calling("read_email", None),
    "an unknown tool": calling("delete_email", {"id": 1}),
    "no name": calling(None, {"id": 1}),
    "a megabyte": calling("search_emails", {"keywords": ["x" * 1_000_000]}),
    "deep nesting": calling("search_emails", '{"keywords": ' + "[" * 500 + "]" * 500 + "}"),
    "null content": completion(),
    "empty content": completion(text=""),
    "prose": completion(text="It is on Tuesday."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_f35_a_mistake_of_the_model_is_told_to_it_and_kept(arena, monkeypatch, tmp_path, mistake):
    with serving(MISTAKES[mistake], final(None)) as server:
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        played = (await rollout(load_api("api:openai/m"), arena.env(arena.questions[0]))).trajectory
    assert played.stop_reason is StopReason.GAVE_UP
    (result,) = played.turns[0].results
    assert result.is_error
    assert result.content.startswith("error: ")
    said, heard = server.requests[1]["messages"][-2:]
    assert heard["content"] == result.content
    assert len(json.dumps(server.requests[1])) < 200_000
    assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in said.get("tool_calls", []))
    write_trajectories(tmp_path / "kept.jsonl", [played])
    assert list(read_trajectories(tmp_path / "kept.jsonl")) == [played]


async def test_f35_of_two_calls_each_gets_its_own_result(arena, monkeypatch):
    both = completion(call("search_emails", '{"keywords": [', "a"), call("search_emails", {"keywords": ["Room"]}, "b"))
    with serving(both, final(None)) as server:
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        played = (await rollout(load_api("api:openai/m"), arena.env(arena.questions[0]))).trajectory
    assert [result.is_error for result in played.turns[0].results] == [True, False]
    assert [message.get("tool_call_id") for message in server.requests[1]["messages"][-2:]] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"name": "search_emails", "parameters": {"keywords": [',
        '{"name": "search_emails", "parameters": {"keywords": 7}}',
        '{"name": "delete_email", "parameters": {"id": 1}}',
        '{"name": "search_emails", "parameters": {"keywords": ["' + "x" * 100_000 + '"]}}',
        "<|python_tag|>",
        "Tuesday.",
    ],
)
async def test_f35_a_mistake_of_a_local_model_is_told_to_it_as_well(arena, llama, text):
    said = llama.plain_ids(text) + sorted(llama.stop_token_ids)[:1]
    policy = LocalPolicy(
        ScriptedEngine([said, llama.action_ids(answer(None))]), llama, prompt="default", max_new_tokens=200_000
    )
    played = (await rollout(policy, arena.env(arena.questions[0]))).trajectory
    assert played.stop_reason is StopReason.GAVE_UP
    assert [result.is_error for result in played.turns[0].results] == [True]


def forever(action, limits=None):
    def script(opening, random):
        while True:
            yield action

    return ScriptedPolicy("forever", script, perfect_reader({}), limits=limits)


async def test_f36_an_endless_loop_ends_at_each_of_its_limits(arena, llama):
    env = arena.with_limits(EnvLimits(max_turns=1000)).env
    question = arena.questions[0]
    turns = (await rollout(forever(search("Room")), env(question))).trajectory
    assert (turns.stop_reason, len(turns.turns)) == (StopReason.MAX_TURNS, 1000)
    invalid = (await rollout(forever(read(10**6)), env(question))).trajectory
    assert (invalid.stop_reason, len(invalid.turns)) == (StopReason.INVALID_CALLS, 3)

    said = llama.action_ids(search("Room"))
    looping = LocalPolicy(ScriptedEngine([said, 0.002] * 5000), llama, prompt="default", max_new_tokens=len(said))
    slow = (await rollout(looping, env(question), deadline_seconds=0.3)).trajectory
    assert slow.stop_reason is StopReason.DEADLINE
    assert slow.seconds < 3
    cut = LocalPolicy(ScriptedEngine([said] * 5), llama, prompt="default", max_new_tokens=len(said) - 1)
    assert (await rollout(cut, env(question))).trajectory.stop_reason is StopReason.MAX_TOKENS


async def test_f36_a_model_that_repeats_itself_fills_its_context_and_stops(arena):
    from agent.chat_format import ChatFormat
    from agent.sampling.torch_engine import TorchEngine

    chat = ChatFormat(make_tokenizer())
    engine = TorchEngine(make_model(), stop_token_ids=set(), max_rows=2, max_context=200)
    policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=10_000)
    played = await rollout(policy, arena.with_limits(LIMITS).env(arena.questions[0]))
    assert played.trajectory.stop_reason is StopReason.MAX_TOKENS
    assert len(played.trace.token_ids) <= 200
    assert engine.num_open_rows == 0


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{{ messages | length }}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}", "rewrites earlier turns"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "never ends a turn"),
        ("{{ raise_exception('no') }}", "missing or fails"),
    ],
)
def test_f40_a_wrong_template_is_refused_before_anything_is_played(mailbox, tmp_path, capsys, template, what):
    tokenizer = make_tokenizer()
    folder = write_model_folder(tmp_path / "model", tokenizer)
    (folder / "chat_template.jinja").write_text(template)
    options = ["--mailbox", str(mailbox[0]), "--inbox", mailbox[1].name, "--question", "Where?"]
    capsys.readouterr()  # what writing the model said
    assert main(["play", "--policy", f"local:{folder}", *options]) == ExitCode.USAGE
    streams = capsys.readouterr()
    assert what in streams.err
    assert streams.err.count("\n") == 1
    assert len(streams.err) <= 301
    assert streams.out == ""


def search_and_give_up(opening, random):
    yield search("Room")
    yield answer(None)


class Dying:
    """A policy of which every `nth` episode dies in its own way."""

    name, limits = "dying", None

    def __init__(self, nth, way):
        self.nth, self.way, self.count = nth, way, 0
        self.policy = ScriptedPolicy("dying", search_and_give_up, perfect_reader({}))

    def start(self, opening):
        self.count += 1
        actor = self.policy.start(opening)
        if self.count % self.nth:
            return actor
        if self.way == "start":
            raise RuntimeError("no worker")
        return DyingActor(actor, self.way)


class DyingActor:
    def __init__(self, actor, way):
        self.actor, self.way, self.trace, self.is_truncated, self.usage = actor, way, None, False, actor.usage

    async def act(self, observation):
        if self.way == "raise":
            raise RuntimeError("power cut")
        if self.way == "kill":
            worker = asyncio.create_task(asyncio.sleep(60))
            asyncio.get_running_loop().call_soon(worker.cancel)
            await worker
        if self.way == "hang":
            await asyncio.sleep(60)
        return answer(None)

    def close(self):
        if self.way == "close":
            raise OSError("gone")


@pytest.mark.parametrize("way", ["raise", "kill", "start", "hang", "close"])
async def test_f41_a_worker_that_dies_loses_its_own_episode_only(arena, way):
    started = time.monotonic()
    played = await rollout_many(Dying(5, way), arena.envs(arena.questions[:20]), deadline_seconds=0.5)
    assert time.monotonic() - started < 5
    stops = Counter(one.trajectory.stop_reason for one in played)
    lost = StopReason.DEADLINE if way == "hang" else StopReason.ERROR
    assert stops == {StopReason.GAVE_UP: 16, lost: 4}
    assert [one.trajectory.question_id for one in played] == [question.id for question in arena.questions[:20]]
    errors = [one.trajectory.error for one in played if one.trajectory.stop_reason is lost]
    assert all(errors) == (way != "hang")


@pytest.mark.parametrize(("nth", "outcome"), [(40, ""), (13, "warning"), (4, "raised")])
async def test_f41_few_lost_episodes_pass_some_warn_and_many_end_the_run(arena, nth, outcome):
    played = await rollout_many(Dying(nth, "raise"), arena.envs(arena.questions[:40]))
    trajectories = [one.trajectory for one in played]
    if outcome == "raised":
        with pytest.raises(UpstreamError, match=r"10 of 40 episodes .* RuntimeError: power cut") as failure:
            check_errors(trajectories, 0.1)
        assert failure.value.exit_code is ExitCode.UPSTREAM
    else:
        assert bool(check_errors(trajectories, 0.1)) == (outcome == "warning")


async def test_f41_a_dead_policy_is_not_asked_for_every_episode(arena):
    policy = Dying(1, "raise")
    played = await rollout_many(policy, arena.envs(arena.questions), concurrency=2, fail_share=0.1)
    assert len(played) == 40
    assert policy.count <= 7
    assert {one.trajectory.stop_reason for one in played} == {StopReason.ERROR}
    with pytest.raises(UpstreamError, match="40 of 40"):
        check_errors([one.trajectory for one in played], 0.1)


async def test_f42_a_clock_that_jumps_back_makes_no_duration_negative(arena, monkeypatch):
    now = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    played = await rollout(ScriptedPolicy("s", search_and_give_up, perfect_reader({})), arena.env(arena.questions[0]))
    assert played.trajectory.seconds >= 0
    assert all(turn.seconds >= 0 for turn in played.trajectory.turns)


@pytest.mark.parametrize("asked_on", [None, date(2999, 1, 1), date(1, 1, 2), date(9999, 12, 31)])
async def test_f42_a_day_that_is_absent_or_far_off_gives_the_same_episode_every_time(mailbox, asked_on):
    path, inbox = mailbox
    question = inbox.questions[0].model_copy(update={"asked_on": asked_on})
    policy = ScriptedPolicy("s", lambda opening, random: _searches(), perfect_reader({}))
    played: list[Trajectory] = []
    for _ in range(2):
        env = InboxEnv(Inbox.open(path, inbox.name), question, EnvLimits())
        played.append((await rollout(policy, env)).trajectory)
    contents = [[result.content for turn in one.turns for result in turn.results] for one in played]
    assert contents[0] == contents[1]
    newest = max(mail.date for mail in inbox.emails if mail.date)
    sees_all = asked_on is None or asked_on > newest.astimezone(UTC).date()
    if not sees_all:
        assert contents[0][1] == "error: id: no such email"
    assert played[0].stop_reason is StopReason.GAVE_UP


def _searches():
    yield search("the")
    yield read(1)
    yield answer(None)


def test_f42_the_prompt_is_the_same_whatever_the_day(monkeypatch, llama):
    from agent.chat_format import ChatFormat

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2099, 1, 1, tzinfo=tz)

    before = llama.prompt_ids("s", "q")
    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Tomorrow)
    assert ChatFormat(family_tokenizer("llama")).prompt_ids("s", "q") == before
