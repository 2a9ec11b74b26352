"""The engine over HTTP samples what the torch engine samples, from the weights as they are now."""

from __future__ import annotations

import asyncio

import pytest
import torch

from agent.sampling.torch_engine import TorchEngine
from agent.sampling.vllm_session import turn_seed
from inbox_env.errors import UsageError
from tests.agent.remote import lora, remote, wide_model, within
from tests.agent.tiny import CONTEXT

TOOLS = ((7, 8, 9), (10,))


def torch_engine(model, chat, temperature=1.0, context=CONTEXT):
    return TorchEngine(model, stop_token_ids=set(chat.stop_token_ids), max_context=context, temperature=temperature)


async def play(engine, seed, prompt=(31, 32, 33), tools=TOOLS, max_tokens=8):
    session = engine.open(seed)
    samples = [await session.sample(list(appended), max_tokens) for appended in (prompt, *tools)]
    session.close()
    return samples


async def play_by_turns(engine, seed, prompt=(31, 32, 33), tools=TOOLS, max_tokens=8):
    """The same episode with a new session for every turn, seeded as the http engine seeds turns."""
    ids, samples = [], []
    for turn, appended in enumerate((prompt, *tools)):
        ids += appended
        session = engine.open(turn_seed(seed, turn))
        samples.append(await session.sample(list(ids), max_tokens))
        session.close()
        ids += samples[-1].token_ids
    return samples


def assert_same(mine, theirs, tolerance=1e-5):
    for one, other in zip(mine, theirs, strict=True):
        assert one.token_ids == other.token_ids
        assert one.is_stopped == other.is_stopped
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
async def test_both_engines_sample_the_same_tokens_with_the_same_logprobs(chat, tokenizer, tmp_path, temperature):
    model = wide_model()
    with remote(model, chat, tokenizer, tmp_path, temperature=temperature) as (engine, _):
        local = torch_engine(model, chat, temperature)
        found = await within(60, *(play(engine, seed) for seed in range(6)))
        for seed, samples in enumerate(found):
            assert_same(samples, await play_by_turns(local, seed))
            if temperature == 0.0:
                assert_same(samples, await play(local, seed))
        assert len({tuple(samples[0].token_ids) for samples in found}) > 1 or temperature == 0.0


async def test_a_seed_draws_the_same_tokens_alone_and_among_others_and_each_turn_others(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, _):
        alone = [await play(engine, seed, tools=((31, 32, 33),)) for seed in range(3)]
        together = await within(60, *(play(engine, seed, tools=((31, 32, 33),)) for seed in range(3)))
    assert together == alone
    assert any(first.token_ids != second.token_ids for first, second in alone)


@pytest.mark.slow
@pytest.mark.parametrize("is_adapter", [True, False])
async def test_refresh_samples_from_the_changed_weights_and_from_no_older_ones(chat, tokenizer, tmp_path, is_adapter):
    model = lora(wide_model()) if is_adapter else wide_model()
    with remote(model, chat, tokenizer, tmp_path, num_servers=2) as (engine, tinies):
        before = await play(engine, 1)
        for _ in range(3):
            with torch.no_grad():
                for weight in model.parameters():
                    if weight.requires_grad and weight.dim() == 2:
                        weight.add_(torch.randn_like(weight) * 0.1)
            engine.refresh()
        local = torch_engine(model.get_base_model() if is_adapter else model, chat)
        for seed in range(4):
            prompt = (40 + seed, 41)  # other prompts go to other servers
            found, wanted = await play(engine, seed, prompt), await play_by_turns(local, seed, prompt)
            assert_same(found, wanted, tolerance=1e-4)  # one side merges the adapter, the other does not
        assert before != await play(engine, 1)
        models = {request["model"].partition("-")[0] for tiny in tinies for request in tiny.requests}
        assert models == {"policy" if is_adapter else "base"}
        for tiny in tinies:
            assert len(tiny.adapters) == int(is_adapter)
            assert ("/pause" in tiny.paths) == (not is_adapter)
            assert not tiny.is_paused
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []
    assert all(not tiny.adapters for tiny in tinies)


async def test_a_full_context_stops_and_what_does_not_fit_gives_an_empty_sample(chat, tokenizer, tmp_path):
    model = wide_model()
    with remote(model, chat, tokenizer, tmp_path, stop_token_ids=set()) as (engine, _):
        local = TorchEngine(model, stop_token_ids=set(), max_context=CONTEXT, temperature=0.0)
        engine.temperature = 0.0
        for length in (CONTEXT - 9, CONTEXT - 3, CONTEXT - 1, CONTEXT):
            prompt, tools = [5] * length, ((7, 7), (7,))
            assert_same(await play(engine, 0, prompt, tools, 4), await play(local, 0, prompt, tools, 4))


async def test_sampling_goes_on_where_max_tokens_cut(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, stop_token_ids=set(), temperature=0.0) as (engine, _):
        whole = await play(engine, 3, [1, 2], (), 10)
        parts = await play(engine, 3, [1, 2], ([],), 5)
        assert [token for part in parts for token in part.token_ids] == whole[0].token_ids


async def test_every_knob_of_the_distribution_is_set_whatever_the_server_defaults_to(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, temperature=0.7) as (engine, (tiny,)):
        await play(engine, 0, tools=())
        (body,) = tiny.requests
    assert body["stop_token_ids"] == sorted(chat.stop_token_ids)
    assert {
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "ignore_eos": True,
    }.items() <= body.items()
    assert (body["temperature"], body["add_special_tokens"], body["return_token_ids"]) == (0.7, False, True)
    assert 0 <= body["seed"] < 2**63


@pytest.mark.slow
async def test_a_group_stays_on_one_server_and_questions_spread_over_all(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, num_servers=3) as (engine, tinies):
        rules = [9] * 300  # what all questions begin with
        for question in range(30):
            await within(60, *(play(engine, seed, [*rules, question], ((3,),), max_tokens=1) for seed in range(2)))
        first = [{request["prompt"][300] for request in tiny.requests} for tiny in tinies]
        assert all(first)
        assert sum(map(len, first)) == 30, "every question was asked at one server only"
        assert engine.num_open_sessions == 0


async def test_a_crowded_server_is_passed_over(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, num_servers=2) as (engine, tinies):
        sessions = [engine.open(seed) for seed in range(16)]
        await within(60, *(session.sample([1, 2, 3], 1) for session in sessions))
        assert all(len(tiny.requests) >= 5 for tiny in tinies)
        for session in sessions:
            session.close()


def test_one_engine_serves_one_event_loop_after_another(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, _):
        first, second = (asyncio.run(play(engine, 0)) for _ in range(2))
    assert first == second


async def test_a_cancelled_call_closes_the_session_and_frees_its_place(chat, tokenizer, tmp_path):
    with remote(wide_model(), chat, tokenizer, tmp_path, max_rows=1) as (engine, (tiny,)):
        tiny.faults.append("hang")
        session = engine.open(0)
        task = asyncio.create_task(session.sample([1, 2], 4))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (samples,) = await within(2, play(engine, 1, tools=()))
        assert samples[0].token_ids
        with pytest.raises(RuntimeError, match="closed"):
            await session.sample([1], 1)


@pytest.mark.parametrize(("token_ids", "max_tokens"), [([], 3), ([1], 0), ([640], 3), ([-1], 3)])
async def test_wrong_calls_hurt_only_the_caller(chat, tokenizer, tmp_path, token_ids, max_tokens):
    with remote(wide_model(), chat, tokenizer, tmp_path) as (engine, (tiny,)):
        with pytest.raises(ValueError, match="token"):
            await engine.open(1).sample(token_ids, max_tokens)
        assert not tiny.requests


def test_a_negative_temperature_is_refused(chat, tokenizer, tmp_path):
    with pytest.raises(UsageError), remote(wide_model(), chat, tokenizer, tmp_path, temperature=-1.0):
        pass
