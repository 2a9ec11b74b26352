"""The judge behind an API, against a real server: patient with what passes, bounded in time, calls, cost and number."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from agent.judge_client import make_judge_model
from agent.judge_config import JudgeConfig
from agent.patient_model import MAX_FAILURES
from inbox_env.errors import ExitCode, ResourceError, UpstreamError, UsageError
from inbox_env.questions import Question
from rewards.grader import all_of
from rewards.judge import Judge
from rewards.judge_cache import JudgeCache
from tests.agent.chat_server import completion, failing, hang, reset, serving

RIGHT = completion(text=json.dumps({"reason": "the same", "verdict": "right"}))
WRONG = completion(text=json.dumps({"reason": "another", "verdict": "wrong"}))
PLACE = Question(id="q", inbox="i", question="Where is the dinner?", answer="the Belvedere", message_ids=("<g>",))
QUICK = {"call_seconds": 5.0, "retry_seconds": 0.4, "pause_seconds": 0.5}


@pytest.fixture(scope="module", autouse=True)
def warmed_up():
    """The client library imports half of itself with the first call, which no short budget survives."""
    with serving(RIGHT) as server:
        assert asyncio.run(make_judge(server).decide("somewhere", PLACE)).value == "right"


def make_judge(server, cache=None, **options):
    config = JudgeConfig(model="openai/m", api_base=getattr(server, "url", server), **{**QUICK, **options})
    cache = cache or JudgeCache()
    return Judge(make_judge_model(config, cache), cache)


@pytest.mark.parametrize("outage", [failing(429), failing(500), failing(503), reset])
async def test_a_passing_outage_is_sat_out(outage):
    with serving(outage, RIGHT) as server:
        verdict = await make_judge(server, retry_seconds=5.0).decide("on the hill", PLACE)
    assert (verdict.value, verdict.num_calls) == ("right", 1)
    assert len(server.requests) == 2


async def test_retry_after_is_honoured():
    with serving(failing(429, headers={"Retry-After": "0.6"}), RIGHT) as server:
        assert (await make_judge(server, retry_seconds=5.0).decide("on the hill", PLACE)).value == "right"
    assert 0.6 <= server.times[1] - server.times[0] < 2.0


async def test_a_judge_that_hangs_is_given_up_in_time_and_is_unscorable():
    with serving(hang) as server:
        started = time.monotonic()
        verdict = await make_judge(server, call_seconds=0.3).decide("on the hill", PLACE)
    assert time.monotonic() - started < 3
    assert verdict.value == "unscorable"
    assert "no answer in time" in verdict.reason


async def test_prose_is_asked_again_twice():
    with serving(completion(text="It is right.")) as server:
        verdict = await make_judge(server).decide("on the hill", PLACE)
    assert (verdict.value, verdict.num_calls, len(server.requests)) == ("unscorable", 3, 3)
    assert len(server.requests[2]["messages"]) == 2
    assert "tools" not in server.requests[0]


async def test_a_reply_that_is_cut_says_what_to_raise():
    with serving(completion(text='{"reason": "because', finish="length")) as server:
        verdict = await make_judge(server, max_tokens=16).decide("on the hill", PLACE)
    assert (verdict.value, len(server.requests)) == ("unscorable", 1)
    assert "judge.max_tokens" in verdict.reason


async def test_no_more_calls_are_under_way_than_allowed():
    num_now, most = 0, 0

    def slow(handler):
        nonlocal num_now, most
        num_now += 1
        most = max(most, num_now)
        time.sleep(0.05)
        num_now -= 1
        handler.reply(200, RIGHT)

    with serving(slow) as server:
        judge = make_judge(server, concurrency=3)
        verdicts = await asyncio.gather(*(judge.decide(f"place {number}", PLACE) for number in range(12)))
    assert {verdict.value for verdict in verdicts} == {"right"}
    assert 2 <= most <= 3


async def test_a_budget_of_calls_ends_it_and_outlasts_the_process(tmp_path):
    with serving(RIGHT) as server:
        judge = make_judge(server, JudgeCache(tmp_path / "c.sqlite"), max_calls=2)
        for answer in ("one place", "another place", "one place"):
            assert (await judge.decide(answer, PLACE)).value == "right"
        for again in (judge, make_judge(server, JudgeCache(tmp_path / "c.sqlite"), max_calls=2)):
            with pytest.raises(ResourceError, match="2 calls are used up") as failure:
                await again.decide("a third place", PLACE)
            assert failure.value.exit_code == ExitCode.RESOURCE
        more = make_judge(server, JudgeCache(tmp_path / "c.sqlite"), max_calls=3)
        assert (await more.decide("a third place", PLACE)).value == "right"
    assert len(server.requests) == 3


async def test_cost_is_counted_and_a_budget_of_it_ends_it():
    with serving({**RIGHT, "model": "gpt-4o"}) as server:
        config = JudgeConfig(model="openai/gpt-4o", api_base=server.url, max_cost=1e-4, **QUICK)
        cache = JudgeCache()
        judge = Judge(make_judge_model(config, cache), cache)
        assert (await judge.decide("one place", PLACE)).cost == pytest.approx(cache.spent().cost)
        assert cache.spent().cost > 1e-4
        with pytest.raises(ResourceError, match="dollars are used up"):
            await judge.decide("another place", PLACE)


def test_a_budget_of_cost_needs_a_known_price():
    config = JudgeConfig(model="openai/no-such-model", api_base="http://127.0.0.1:1", max_cost=1.0)
    with pytest.raises(UsageError, match="no price is known"):
        make_judge_model(config, JudgeCache())


async def test_a_judge_that_is_out_pauses_everybody_and_goes_on_when_it_is_back():
    with serving(*[failing(400)] * MAX_FAILURES, failing(503), failing(503), RIGHT) as server:
        judge = make_judge(server, pause_seconds=20.0, concurrency=1)
        verdicts = [await judge.decide(f"place {number}", PLACE) for number in range(5)]
    assert [verdict.value for verdict in verdicts] == ["unscorable"] * 3 + ["right"] * 2
    assert len(server.requests) == 7


async def test_while_one_waits_for_a_judge_that_is_out_nobody_else_asks():
    with serving(*[failing(400)] * MAX_FAILURES, failing(503), RIGHT) as server:
        judge = make_judge(server, pause_seconds=20.0)
        for number in range(MAX_FAILURES):
            await judge.decide(f"place {number}", PLACE)
        verdicts = await asyncio.gather(*(judge.decide(f"other {number}", PLACE) for number in range(6)))
    assert {verdict.value for verdict in verdicts} == {"right"}
    assert len(server.requests) == MAX_FAILURES + 2 + 5


async def test_a_lasting_outage_ends_with_the_code_of_a_failed_service():
    with serving(failing(503)) as server:
        judge = make_judge(server, retry_seconds=0.0)
        for number in range(MAX_FAILURES):
            assert (await judge.decide(f"place {number}", PLACE)).value == "unscorable"
        started = time.monotonic()
        with pytest.raises(UpstreamError, match="judge is out of order") as failure:
            await judge.decide("one more", PLACE)
    assert time.monotonic() - started < 3
    assert failure.value.exit_code == ExitCode.UPSTREAM


async def test_when_the_judge_is_out_for_good_nobody_waits_again():
    with serving(failing(503)) as server:
        judge = make_judge(server, retry_seconds=0.0, pause_seconds=0.8)
        started = time.monotonic()
        with pytest.raises(UpstreamError):
            await all_of(judge.decide(f"place {number}", PLACE) for number in range(30))
    assert time.monotonic() - started < 3


async def test_a_spent_budget_lets_the_calls_under_way_finish():
    with serving(RIGHT) as server:
        judge = make_judge(server, max_calls=4)
        with pytest.raises(ResourceError):
            await all_of(judge.decide(f"place {number}", PLACE) for number in range(30))
        kept = [judge.cache.get(judge.key(f"place {number}", PLACE)) is not None for number in range(30)]
    assert sum(kept) == len(server.requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_would_fail_every_call_ends_it_at_once(status):
    with serving(failing(status)) as server:
        with pytest.raises(UpstreamError):
            await make_judge(server).decide("a place", PLACE)
        assert len(server.requests) == 1


def test_one_judge_serves_many_event_loops():
    with serving(RIGHT) as server:
        judge = make_judge(server, concurrency=2)

        async def several(step):
            return await asyncio.gather(*(judge.decide(f"place {step} {n}", PLACE) for n in range(5)))

        for step in range(4):
            assert {verdict.value for verdict in asyncio.run(several(step))} == {"right"}
    assert len(server.requests) == 20


@pytest.mark.parametrize("url", ["https://me:secret@x.example/v1", "https://x.example/v1?key=secret"])
def test_a_key_in_the_address_is_refused(url):
    with pytest.raises(ValueError, match="keys belong in the environment") as failure:
        JudgeConfig(model="openai/m", api_base=url)
    assert "secret" not in str(failure.value.errors()[0]["msg"])


@pytest.mark.parametrize("model", [None, "m", "/m"])
def test_a_judge_that_is_not_named_is_refused(model):
    with pytest.raises(UsageError):
        make_judge_model(JudgeConfig(model=model), JudgeCache())
