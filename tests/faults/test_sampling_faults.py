"""What must happen when a sampling server fails: the call is tried again within its budget, the rollout is marked,
the others go on, and a run whose servers are all gone ends with the documented exit code."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from random import Random

import httpx
import pytest

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.grpo.groups import Group
from agent.grpo.live_doctor import LiveDoctor
from agent.policies.local import LocalPolicy
from agent.rollout import Rollout, rollout_many
from agent.sampling.patience import Patience, wished_pause
from agent.sampling.vllm_wire import BadReply, Refused, Unreachable, VllmServer
from inbox_env.actions import StopReason
from inbox_env.errors import DivergedError, ExitCode, UpstreamError
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import Trajectory
from rewards.ladder import LadderConfig, make_ladder
from tests.agent.remote import remote, wide_model, within
from tests.agent.tiny import LIMITS, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def chat(tokenizer):
    return ChatFormat(tokenizer)


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=12)
    mailbox = tmp_path_factory.mktemp("arena") / "mail.db"
    build_inbox(mailbox, inbox.name, inbox.emails, owner=inbox.owner)
    return Arena.open(mailbox, inbox.questions, LIMITS)


def without(*names):
    def remove(reply):
        for name in names:
            reply["choices"][0][name] = None
        return reply

    return remove


def with_logprob(value):
    def change(reply):
        reply["choices"][0]["logprobs"]["token_logprobs"][0] = value

    return change


async def one_turn(engine, seed=0, prompt=(31, 32, 33)):
    session = engine.open(seed)
    try:
        return await session.sample(list(prompt), 4)
    finally:
        session.close()


PASSING = [(429, ("Retry-After", "0")), (429,), (500,), (503,), "reset", "drop"]


@pytest.mark.parametrize("fault", PASSING, ids=str)
async def test_f37_a_passing_error_is_tried_again_and_changes_nothing(chat, tokenizer, tmp_path, fault):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, (tiny,)):
        wanted = await one_turn(engine)
        tiny.faults.extend([fault, fault])
        assert await one_turn(engine) == wanted
        assert len(tiny.requests) == 4
        assert len({str(request) for request in tiny.requests}) == 1, "the same seed again"


async def test_f37_retry_after_is_honoured_within_the_budget(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, (tiny,)):
        tiny.faults.append((429, ("Retry-After", "1")))
        started = time.monotonic()
        await one_turn(engine)
        assert 1.0 <= time.monotonic() - started < 3.0
        tiny.faults.append((503, ("Retry-After", "3600")))
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"http 503 from .* after 1 attempts"):
            await one_turn(engine)
        assert time.monotonic() - started < 1.0, "an hour is not waited for"


async def test_f37_a_rollout_that_a_server_fails_is_marked_and_the_group_goes_on(chat, tokenizer, tmp_path, arena):
    with remote(wide_model(), chat, tokenizer, tmp_path, max_rows=1) as (engine, (tiny,)):
        tiny.faults.extend([(500,)] * 4)
        policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=4)
        question = arena.questions[0]
        found = await rollout_many(policy, arena.envs([question] * 4), concurrency=1)
    errors = [one.trajectory for one in found if one.trajectory.stop_reason is StopReason.ERROR]
    assert len(errors) == 1
    assert errors[0].error.startswith("Unreachable: api: http 500 from 127.0.0.1")
    assert question.question not in errors[0].error
    rewards = [make_ladder(LadderConfig())(one.trajectory, question).value for one in found]
    assert rewards.count(None) == 1


async def test_f37_sessions_of_a_dead_server_go_on_at_another_one(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, num_servers=2, temperature=0.0) as (engine, tinies):
        sessions = [engine.open(seed) for seed in range(6)]
        firsts = await within(30, *(s.sample([n, 9], 3) for n, s in enumerate(sessions)))
        dying = next(number for number, tiny in enumerate(tinies) if tiny.requests)
        tinies[dying].is_sick = True
        seconds = await within(30, *(session.sample([7], 3) for session in sessions))
        assert all(sample.token_ids for sample in seconds)
        assert engine.fleet.up == [engine.fleet.servers[1 - dying]]
        tinies[dying].is_sick = False
        engine.refresh()
        assert len(engine.fleet.up) == 2, "a server that lives again is taken back with the new weights"
        assert len(firsts) == 6


async def test_f37_a_run_without_servers_ends_as_an_upstream_failure(chat, tokenizer, tmp_path, arena):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, (tiny,)):
        tiny.is_sick = True
        policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=4)
        with pytest.raises(UpstreamError) as caught:
            await rollout_many(policy, arena.envs(arena.questions[:3]))
        assert caught.value.exit_code == ExitCode.UPSTREAM
        assert "--resume" in caught.value.line()
        with pytest.raises(UpstreamError):
            engine.refresh()
        tiny.is_sick = False
        engine.refresh()
        assert (await one_turn(engine)).token_ids


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid:8000"])
async def test_f37_nobody_there_or_no_such_name_is_given_up_within_the_budget(url):
    async with httpx.AsyncClient(trust_env=False) as client:
        wire = VllmServer(url, client, Patience(5.0, 2.0, num_attempts=3, first_pause_seconds=0.01), Random(0))
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"api: ConnectError from .* after 3 attempts"):
            await wire.complete({"prompt": [31]})
        assert time.monotonic() - started < 5.5
        assert not await wire.is_healthy()


def test_f37_pauses_grow_are_spread_and_know_both_forms_of_retry_after():
    patience, random = Patience(first_pause_seconds=1.0, longest_pause_seconds=8.0), Random(0)
    pauses = [[patience.pause_seconds(attempt, random) for _ in range(50)] for attempt in range(1, 7)]
    for longest, found in zip((1, 2, 4, 8, 8, 8), pauses, strict=True):
        assert longest / 2 <= min(found) < max(found) <= longest
    assert patience.pause_seconds(1, random, wished=30.0) == 30.0
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert wished_pause({"retry-after": "7"}) == 7.0
    assert wished_pause({"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"}, now) == 9.0
    assert wished_pause({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}, now) == 0.0
    assert [wished_pause({"retry-after": text}) for text in ("", "soon", "-3", "²")] == [None] * 4


async def test_f38_a_server_that_never_answers_is_left_at_the_deadline(chat, tokenizer, tmp_path):
    patience = Patience(1.2, 0.3, num_attempts=9, first_pause_seconds=0.02, longest_pause_seconds=0.05)
    with remote(wide_model(), chat, tokenizer, tmp_path, patience=patience) as (engine, (tiny,)):
        tiny.faults.extend(["hang"] * 9)
        started = time.monotonic()
        with pytest.raises(Unreachable, match="no answer within"):
            await one_turn(engine)
        assert time.monotonic() - started < 1.6
        tiny.faults.clear()
        tiny.faults.append("hang")
        assert (await one_turn(engine)).token_ids


async def test_f38_a_reply_that_drips_is_left_at_the_deadline():
    async def drip(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1")
    async with httpx.AsyncClient(trust_env=False) as client:
        port = server.sockets[0].getsockname()[1]
        wire = VllmServer(f"http://127.0.0.1:{port}", client, Patience(0.5, 0.2, num_attempts=2), Random(0))
        started = time.monotonic()
        with pytest.raises(Unreachable):
            await wire.version()
        assert time.monotonic() - started < 1.0
    server.close()


async def test_f38_an_episode_deadline_frees_the_place_on_the_server(chat, tokenizer, tmp_path, arena):
    with remote(wide_model(), chat, tokenizer, tmp_path, max_rows=1) as (engine, (tiny,)):
        tiny.faults.append("hang")
        policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=4)
        found = await rollout_many(policy, arena.envs(arena.questions[:1]), deadline_seconds=0.3)
        assert found[0].trajectory.stop_reason is StopReason.DEADLINE
        assert (await asyncio.wait_for(one_turn(engine), 2)).token_ids
        assert engine.num_open_sessions == 0


BROKEN = {
    "garbage": ("garbage", BadReply),
    "no token ids": (lambda reply: without("token_ids", "logprobs")(reply), BadReply),
    "no logprobs": (without("logprobs"), BadReply),
    "no choices": (lambda reply: reply["choices"].clear(), BadReply),
    "another prompt": (lambda reply: reply["choices"][0].update(prompt_token_ids=[1]), BadReply),
    "too many tokens": (lambda reply: reply["choices"][0].update(token_ids=[3] * 9), BadReply),
    "aborted": (lambda reply: reply["choices"][0].update(finish_reason="abort", token_ids=[3]), BadReply),
    "refused": ((400,), Refused),
    "a logprob of null": (with_logprob(None), DivergedError),
    "a logprob of NaN": (with_logprob(float("nan")), DivergedError),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_f39_a_reply_that_is_not_what_was_asked_for_is_an_error_of_that_rollout(chat, tokenizer, tmp_path, name):
    fault, kind = BROKEN[name]
    with remote(wide_model(), chat, tokenizer, tmp_path, stop_token_ids=set()) as (engine, (tiny,)):
        tiny.faults.append(fault)
        with pytest.raises(kind) as caught:
            await one_turn(engine)
        assert "31" not in str(caught.value).replace(str(engine.fleet.servers[0].name), "")
        assert (await one_turn(engine)).token_ids


async def test_f39_ids_are_read_from_token_names_when_the_server_gives_them_only_there(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, (tiny,)):
        wanted = await one_turn(engine)
        tiny.faults.append(without("token_ids", "prompt_token_ids"))
        assert await one_turn(engine) == wanted


async def test_f39_what_overflows_the_servers_context_is_cut_not_an_error(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, stop_token_ids=set()) as (engine, (tiny,)):
        tiny.context = 20
        session = engine.open(0)
        assert (await session.sample([1] * 10, 5)).token_ids
        sample = await session.sample([2] * 10, 5)
        assert (sample.token_ids, sample.is_stopped) == ([], False)
        assert (await session.sample([3], 5)).token_ids == []
        session.close()


def trajectory(stop_reason):
    return Trajectory(
        question_id="q", inbox="i", policy="p", question="?", opening="", turns=(), stop_reason=stop_reason
    )


def look(doctor, step, num_failed):
    """Show the doctor a step of 20 rollouts of which some failed."""
    reasons = [StopReason.ERROR] * num_failed + [StopReason.ANSWERED] * (20 - num_failed)
    rollouts = tuple(Rollout(trajectory(reason), None) for reason in reasons)
    findings = doctor.look([Group(None, rollouts, ())], {"step": step})
    doctor.check()
    return [(finding.name, str(finding.severity)) for finding in findings]


def test_f41_failed_rollouts_are_warned_of_from_a_twentieth_and_end_the_run_above_a_tenth(tmp_path, chat):
    doctor = LiveDoctor(tmp_path, chat, ["failed_rollouts"])
    assert look(doctor, 1, 1) == []
    assert look(doctor, 2, 2) == [("failed_rollouts", "warning")]
    assert look(doctor, 3, 2) == []
    with pytest.raises(UpstreamError, match=r"of the last 80 episodes.*failed_rollouts, step 4") as caught:
        look(doctor, 4, 12)
    assert caught.value.exit_code == ExitCode.UPSTREAM
    assert look(LiveDoctor(tmp_path, chat, []), 1, 12) == [("failed_rollouts", "error")]


@pytest.mark.parametrize("fault", ["raises", "hangs", "is killed"])
async def test_f41_a_rollout_that_fails_is_marked_and_the_others_finish(chat, tokenizer, tmp_path, arena, fault):
    with remote(wide_model(), chat, tokenizer, tmp_path, max_rows=1) as (engine, (tiny,)):
        tiny.faults.append({"raises": (400,), "hangs": "hang", "is killed": "garbage"}[fault])
        policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=4)
        envs = arena.envs(arena.questions[:3])
        found = await rollout_many(policy, envs, concurrency=1, deadline_seconds=1.0)
    bad = [one.trajectory.stop_reason in (StopReason.ERROR, StopReason.DEADLINE) for one in found]
    assert bad == [True, False, False]
