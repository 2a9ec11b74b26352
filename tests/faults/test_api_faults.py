"""Rows F37 to F39 and the API's part of F60: what happens when a model behind an API fails, hangs or babbles."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agent.arena import Arena
from agent.evaluate import summarise
from agent.policies.api import load_api
from agent.policies.api_client import Patience
from agent.rollout import rollout, rollout_many
from inbox_env.actions import StopReason
from inbox_env.env import EnvLimits
from inbox_env.errors import ExitCode, UpstreamError
from inbox_env.questions import write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import read_trajectories
from scripts.cli import main
from tests.agent.chat_server import call, completion, drip, failing, final, hang, reset, serving

CANARY = "sk-canary-0123456789abcdef"
QUICK = Patience(call_seconds=5.0, budget_seconds=2.0, first_wait_seconds=0.01, max_wait_seconds=0.05)
SEARCH = completion(call("search_emails", {"keywords": ["Room"]}))


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=40)
    folder = tmp_path_factory.mktemp("api")
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    write_questions(folder / "questions.jsonl", inbox.questions)
    return folder, inbox


@pytest.fixture(scope="module", autouse=True)
def warmed_up(mailbox):
    """The client library imports half of itself with the first call, which no short budget survives."""
    folder, inbox = mailbox
    with serving(final()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAILSLEUTH_API_BASE", server.url)
        env = Arena.open(folder / "mail.db", inbox.questions, EnvLimits()).env(inbox.questions[0])
        assert asyncio.run(rollout(load_api("api:openai/m"), env)).trajectory.answer


@pytest.fixture
def arena(mailbox):
    folder, inbox = mailbox
    return Arena.open(folder / "mail.db", inbox.questions, EnvLimits())


@pytest.fixture
def policy_at(monkeypatch):
    def make(url, patience=QUICK):
        monkeypatch.setenv("MAILSLEUTH_API_BASE", url)
        monkeypatch.setenv("OPENAI_API_KEY", CANARY)
        return load_api("api:openai/m", patience=patience)

    return make


async def play(arena, policy, number=0, **options):
    return (await rollout(policy, arena.env(arena.questions[number]), **options)).trajectory


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, "reset"])
async def test_f37_a_passing_outage_is_sat_out(arena, policy_at, status):
    outage = reset if status == "reset" else failing(status)
    with serving(outage, outage, SEARCH, outage, final()) as server:
        played = await play(arena, policy_at(server.url))
    assert played.stop_reason is StopReason.ANSWERED
    assert len(played.turns) == 2
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("outage", "error"),
    [
        (failing(429), "api: RateLimitError (429) after"),
        (failing(503), "api: ServiceUnavailableError (503) after"),
        (reset, "api: no connection after"),
    ],
)
async def test_f37_a_lasting_outage_ends_the_episode_as_an_error_within_the_budget(arena, policy_at, outage, error):
    with serving(SEARCH, outage) as server:
        started = time.monotonic()
        played = await play(arena, policy_at(server.url))
    assert time.monotonic() - started < QUICK.budget_seconds + 2
    assert len(server.requests) > 5
    assert played.stop_reason is StopReason.ERROR
    assert played.error.startswith(error)
    assert played.answer is None
    assert len(played.turns) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"])
async def test_f37_a_host_that_is_not_there_is_an_error_of_the_episode(arena, policy_at, url):
    played = await play(arena, policy_at(url, Patience(5.0, 0.3, 0.05, 0.1)))
    assert played.error.startswith("api: no connection after")


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_f37_retry_after_is_honoured_as_seconds_and_as_a_date(arena, policy_at, form):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)  # whole seconds: 2 to 3
    value, least, most = ("0.6", 0.6, 2.0) if form == "seconds" else (later, 1.0, 4.5)
    with serving(failing(429, headers={"Retry-After": value}), final()) as server:
        assert (await play(arena, policy_at(server.url, Patience(5.0, 8.0, 0.01, 0.02)))).answer
    assert least <= server.times[1] - server.times[0] < most


async def test_f37_a_wait_longer_than_the_budget_is_not_begun(arena, policy_at):
    with serving(failing(429, headers={"Retry-After": "3600"})) as server:
        started = time.monotonic()
        played = await play(arena, policy_at(server.url))
    assert time.monotonic() - started < 2
    assert played.error == "api: RateLimitError (429) after 1 try"
    assert len(server.requests) == 1


async def test_f37_waits_grow_and_differ(arena, policy_at):
    with serving(failing(503)) as server:
        await play(arena, policy_at(server.url, Patience(5.0, 2.0, 0.05, 10.0)))
    waits = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert len(waits) >= 3
    assert waits[-1] > 1.5 * waits[0]


async def test_f37_one_failing_episode_leaves_the_others_of_its_group(arena, policy_at):
    with serving(*[final()] * 3, failing(400), *[final()] * 20) as server:
        played = await rollout_many(policy_at(server.url), arena.envs(arena.questions[:8]), concurrency=4)
    stops = sorted(one.trajectory.stop_reason for one in played)
    assert stops == ["answered"] * 7 + ["error"]


async def test_f38_a_call_that_is_never_answered_is_given_up_and_tried_again(arena, policy_at):
    with serving(hang, final()) as server:
        played = await play(arena, policy_at(server.url, Patience(0.4, 5.0, 0.01, 0.02)))
        assert played.answer
        await until(lambda: server.num_hanging == 0)


async def test_f38_a_byte_now_and_then_is_no_answer(arena, policy_at):
    with serving(drip) as server:
        started = time.monotonic()
        played = await play(arena, policy_at(server.url, Patience(0.4, 0.6, 0.01, 0.02)))
    assert time.monotonic() - started < 3
    assert played.error.startswith("api: no answer in time after")


async def test_f38_a_cancelled_or_late_episode_frees_its_connection(arena, policy_at):
    with serving(hang) as server:
        policy = policy_at(server.url, Patience(60.0, 60.0))
        late = await play(arena, policy, deadline_seconds=0.4)
        task = asyncio.create_task(play(arena, policy))
        await until(lambda: server.num_hanging > 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.num_hanging == 0)
    assert late.stop_reason is StopReason.DEADLINE


async def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


OVERFLOW = failing(400, "This model's maximum context length is 4096 tokens.", code="context_length_exceeded")


async def test_f39_a_full_context_ends_the_episode_as_truncated(arena, policy_at):
    with serving(SEARCH, OVERFLOW) as server:
        played = await play(arena, policy_at(server.url))
    assert (played.stop_reason, played.error) == (StopReason.MAX_TOKENS, "")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failing(400, "this model does not support tools"), "api: BadRequestError (400)"),
        (failing(422, "no"), "api: BadRequestError (422)"),
        ({**completion(), "choices": []}, "api: an answer without choices after"),
        ({"id": "x", "object": "chat.completion", "model": "m", "created": 1}, "api: InternalServerError (500) after"),
        (lambda handler: handler.reply(200, b"<html>"), "api: InternalServerError (500) after"),
    ],
)
async def test_f39_a_useless_answer_is_an_error_and_no_wrong_answer(arena, policy_at, answer, error):
    with serving(answer) as server:
        played = await play(arena, policy_at(server.url, Patience(5.0, 0.3, 0.05, 0.1)))
    assert played.stop_reason is StopReason.ERROR
    assert played.error.startswith(error)


async def test_f39_without_usage_or_calls_every_number_stays_finite(arena, policy_at):
    with serving(completion(usage=None)) as server:
        played = await play(arena, policy_at(server.url))
    report = summarise("m", "baseline", "s", [played], arena.questions[:1])
    numbers = [value for value in report.model_dump().values() if isinstance(value, float)]
    assert all(map(math.isfinite, numbers))
    assert played.stop_reason is StopReason.INVALID_CALLS
    assert all(turn.num_tokens == turn.num_prompt_tokens == 0 for turn in played.turns)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_f39_what_would_fail_every_call_ends_the_run(arena, policy_at, status):
    with serving(failing(status, f"bad key {CANARY}")) as server:
        with pytest.raises(UpstreamError) as failure:
            await play(arena, policy_at(server.url))
        assert failure.value.exit_code is ExitCode.UPSTREAM
        assert len(server.requests) == 1
    assert CANARY not in failure.value.line()


def bench(mailbox, out, *options):
    folder, _ = mailbox
    files = ["--mailbox", str(folder / "mail.db"), "--questions", str(folder / "questions.jsonl"), "--out", str(out)]
    return main(["bench", *files, "--policy", "api:openai/m", *options])


def test_f37_a_run_that_loses_too_many_episodes_ends_and_goes_on_later(mailbox, tmp_path, policy_at, capsys):
    with serving(*[final()] * 10, failing(400)) as server:
        policy_at(server.url)
        assert bench(mailbox, tmp_path / "out", "--concurrency", "4") == ExitCode.UPSTREAM
    error = capsys.readouterr().err
    assert "episodes ended in an error, most often: api: BadRequestError (400)" in error
    assert error.count("\n") == 1
    assert len(server.requests) < 25  # what has not begun is not begun
    (path,) = (tmp_path / "out").glob("api_openai_m*.jsonl")
    played = list(read_trajectories(path))
    assert sum(one.stop_reason is StopReason.ANSWERED for one in played) == 10
    with serving(final()) as server:
        policy_at(server.url)
        assert bench(mailbox, tmp_path / "out") == 0
        assert len(server.requests) == 30


def test_f60_the_key_is_in_no_file_and_on_no_stream(mailbox, tmp_path, policy_at, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    echo = failing(401, f"Incorrect API key provided: {CANARY}. See https://x.example/?key={CANARY}")
    bad = failing(500, f"key={CANARY}")
    for number, script in enumerate([[echo], [bad, final()], [failing(400, CANARY)], [hang, final()]]):
        with serving(*script) as server:
            policy_at(server.url)
            bench(mailbox, tmp_path / f"out{number}", "--limit", "3", "--deadline", "2", "--debug")
    assert server.headers[0]["authorization"] == f"Bearer {CANARY}"
    streams = capsys.readouterr()
    files = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("openai"))
    assert CANARY not in streams.out + streams.err + files + ours
    assert json.dumps(CANARY)[1:-1] not in files


@pytest.mark.parametrize("command", ["bench", "play"])
def test_f60_mail_leaves_the_machine_only_when_that_was_agreed_to(mailbox, tmp_path, monkeypatch, capsys, command):
    folder, inbox = mailbox
    monkeypatch.delenv("MAILSLEUTH_API_BASE", raising=False)
    monkeypatch.setenv("OPENAI_API_BASE", "https://llm.example.org/v1")
    if command == "bench":
        code = bench(mailbox, tmp_path / "out")
    else:
        options = ["--mailbox", str(folder / "mail.db"), "--inbox", inbox.name, "--question", "Where?"]
        code = main(["play", "--policy", "api:openai/m", *options])
    error = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert error.count("mail leaves this machine") == 1
    assert "llm.example.org" in error
    assert "--yes-send" in error
    assert not (tmp_path / "out").exists()


def test_f37_a_few_lost_episodes_are_counted_as_not_right_and_what_was_read_is_summed(
    mailbox, tmp_path, policy_at, capsys
):
    with serving(*[final()] * 10, failing(400), final()) as server:
        policy_at(server.url)
        assert bench(mailbox, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    (row,) = summary["policies"]
    assert row["num_questions"] == 40
    assert (row["num_prompt_tokens"], row["num_tokens"]) == (39 * 100, 39 * 7)
    assert capsys.readouterr().err == ""


async def test_l07_with_errors_and_hangs_no_episode_is_lost(arena, policy_at):
    plain = [SEARCH, final(), SEARCH, final(), final(), SEARCH, final(), SEARCH]
    script = [*plain, failing(429), failing(503), *plain, hang] * 6
    with serving(*script, final()) as server:
        policy = policy_at(server.url, Patience(1.0, 20.0, 0.01, 0.05))
        played = await rollout_many(policy, arena.envs(), concurrency=8)
    stops = {one.trajectory.stop_reason for one in played}
    assert len(played) == 40
    assert stops <= {StopReason.ANSWERED, StopReason.MAX_TURNS}
