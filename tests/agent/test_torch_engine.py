"""The engine samples what the model says, one row at a time or many, and never hangs."""

import asyncio
import random
from types import SimpleNamespace

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from agent.sampling.torch_engine import TorchEngine
from inbox_env.errors import DivergedError, UsageError

VOCABULARY = 37
STOP = 5


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    return Qwen3ForCausalLM(config).eval()


def make_engine(model, **options):
    return TorchEngine(model, **{"stop_token_ids": {STOP}, "max_rows": 8, "max_context": 128} | options)


async def play(engine, seed, prompt, tools=((7, 8, 9), (10,)), max_tokens=12, pauses=0):
    """One episode: returns all ids, their mask and logprobs, and the samples."""
    session = engine.open(seed)
    ids, mask, logprobs, samples = [], [], [], []
    for appended in (prompt, *tools):
        sample = await session.sample(list(appended), max_tokens)
        for _ in range(pauses):
            await asyncio.sleep(0)
        ids += [*appended, *sample.token_ids]
        mask += [0] * len(appended) + [1] * len(sample.token_ids)
        logprobs += [0.0] * len(appended) + sample.logprobs
        samples.append(sample)
    session.close()
    return SimpleNamespace(ids=ids, mask=mask, logprobs=logprobs, samples=samples)


async def within(seconds, *awaitables):
    """Gather, but a hang fails."""
    async with asyncio.timeout(seconds):
        return await asyncio.gather(*awaitables, return_exceptions=True)


def recomputed(model, ids, temperature=1.0):
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].float() / temperature
    logprobs = logits.log_softmax(-1)
    return [0.0] + [logprobs[place, token].item() for place, token in enumerate(ids[1:])]


def assert_logprobs_are_the_models(model, episode, temperature=1.0):
    expected = recomputed(model, episode.ids, temperature)
    for is_sampled, sampled, wanted in zip(episode.mask, episode.logprobs, expected, strict=True):
        assert not is_sampled or abs(sampled - wanted) < 1e-4


@pytest.mark.parametrize("temperature", [0.7, 1.0])
async def test_logprobs_of_sampled_tokens_equal_the_models_own(model, temperature):
    engine = make_engine(model, temperature=temperature)
    rng = random.Random(0)
    plays = []
    for seed in range(12):
        tools = [[rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(0, 3))]
        plays.append(play(engine, seed, [1, 2, 3 + seed // 4], tools, rng.randint(1, 9), pauses=rng.randint(0, 4)))
    for episode in await within(60, *plays):
        assert_logprobs_are_the_models(model, episode, temperature)
        for sample in episode.samples:
            assert len(sample.token_ids) == len(sample.logprobs) >= 1
            assert STOP not in sample.token_ids[:-1]
            assert sample.is_stopped == (sample.token_ids[-1] == STOP)


async def test_greedy_takes_the_most_likely_token(model):
    episode = await play(make_engine(model, temperature=0.0), 0, [1, 2, 3])
    with torch.inference_mode():
        best = model(torch.tensor([episode.ids])).logits[0].argmax(-1).tolist()
    assert all(
        token == best[place]
        for place, (token, is_sampled) in enumerate(zip(episode.ids[1:], episode.mask[1:], strict=True))
        if is_sampled
    )
    assert_logprobs_are_the_models(model, episode)


async def test_a_seed_draws_the_same_tokens_alone_and_among_others(model):
    alone = [await play(make_engine(model), seed, [1, 2, 3]) for seed in range(6)]
    engine = make_engine(model, max_rows=3)
    others = [play(engine, 100 + n, [4, n], [(6, 6)], 20, pauses=n) for n in range(6)]
    together = await within(60, *(play(engine, seed, [1, 2, 3]) for seed in range(6)), *others)
    assert [episode.ids for episode in together[:6]] == [episode.ids for episode in alone]
    assert len({tuple(episode.ids) for episode in alone}) > 1


async def test_a_groups_prompt_is_computed_once(model, monkeypatch):
    engine = make_engine(model)
    appended = []
    append = engine._decoder.append
    monkeypatch.setattr(engine._decoder, "append", lambda cache, batch: appended.extend(batch) or append(cache, batch))
    episodes = await within(60, *(play(engine, seed, [1, 2, 3, 4 + seed % 2], []) for seed in range(8)))
    assert sorted(list(part.token_ids) for part in appended) == [[1, 2, 3, 4], [1, 2, 3, 5]]
    for episode in episodes:
        assert_logprobs_are_the_models(model, episode)


async def test_more_sessions_than_rows_all_finish_and_give_their_rows_back(model):
    engine = make_engine(model, max_rows=3)
    episodes = await within(60, *(play(engine, seed, [seed % 5], pauses=seed % 3) for seed in range(25)))
    for episode in episodes:
        assert_logprobs_are_the_models(model, episode)
    assert engine.num_open_rows == 0


async def test_a_waiting_session_starts_when_an_idle_row_is_closed(model):
    engine = make_engine(model, max_rows=1)
    holder = engine.open(0)
    await holder.sample([1], 3)
    waiting = asyncio.create_task(engine.open(1).sample([2], 3))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    holder.close()
    assert (await asyncio.wait_for(waiting, 10)).token_ids


async def test_the_engine_rests_when_nobody_asks(model):
    engine = make_engine(model, max_rows=1)
    session = engine.open(0)
    await session.sample([1], 2)
    blocked = asyncio.create_task(engine.open(1).sample([2], 2))
    await asyncio.sleep(0.02)
    assert engine._pump_task.done()
    session.close()
    await blocked


@pytest.mark.parametrize("prompt_length", [1, 30, 31])
async def test_a_full_context_stops_the_row_and_spares_the_others(model, prompt_length):
    engine = make_engine(model, max_context=32, stop_token_ids=set())
    prompt = [1 + n % 30 for n in range(prompt_length)]
    full, other = await within(60, play(engine, 0, prompt, [], 100), play(engine, 1, [3], [(4, 4)], 5))
    assert len(full.ids) == 32
    assert not full.samples[0].is_stopped
    assert_logprobs_are_the_models(model, full)
    assert_logprobs_are_the_models(model, other)


async def test_tokens_that_do_not_fit_give_an_empty_sample(model):
    engine = make_engine(model, max_context=32, stop_token_ids=set())
    session, other = engine.open(0), engine.open(1)
    first = await session.sample([1, 2], 5)
    assert len(first.token_ids) == 5
    await other.sample([3], 5)
    for _ in range(2):
        sample = await session.sample([4] * 25, 5)
        assert (sample.token_ids, sample.logprobs, sample.is_stopped) == ([], [], False)
    assert len((await other.sample([4], 5)).token_ids) == 5
    assert (await engine.open(2).sample([1] * 32, 5)).token_ids == []


async def test_sampling_goes_on_where_max_tokens_cut(model):
    whole = await play(make_engine(model, stop_token_ids=set()), 3, [1, 2], [], 10)
    session = make_engine(model, stop_token_ids=set()).open(3)
    parts = [await session.sample([1, 2], 4), await session.sample([], 6)]
    assert [token for part in parts for token in part.token_ids] == whole.samples[0].token_ids


async def test_a_failure_reaches_everyone_and_the_engine_recovers(model, monkeypatch):
    engine = make_engine(model, max_rows=2)
    step = engine._decoder.step
    monkeypatch.setattr(engine._decoder, "step", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    results = await within(20, *(play(engine, seed, [1, seed], max_tokens=9) for seed in range(5)))
    assert [str(result) for result in results if isinstance(result, Exception)] == ["broken"] * 5
    assert engine.num_open_rows == 0
    monkeypatch.setattr(engine._decoder, "step", step)
    episode = await play(engine, 0, [1, 2, 3])
    assert_logprobs_are_the_models(model, episode)


async def test_weights_that_are_not_finite_raise_and_leave_no_trace(model):
    engine = make_engine(model)
    weight = model.model.layers[0].self_attn.v_proj.weight
    with torch.no_grad():
        before = weight.clone()
        weight.fill_(torch.nan)
        engine.refresh()
        with pytest.raises(DivergedError):
            await play(engine, 0, [1, 2, 3])
        weight.copy_(before)
    engine.refresh()
    assert_logprobs_are_the_models(model, await play(engine, 0, [1, 2, 3]))


async def test_refresh_samples_from_the_changed_model(model):
    engine = make_engine(model)
    held = engine.open(9)
    await held.sample([1, 2, 3], 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.3)
    engine.refresh()
    assert_logprobs_are_the_models(model, await play(engine, 0, [1, 2, 3]))


async def test_a_cancelled_call_frees_its_row_and_spares_the_others(model):
    engine = make_engine(model, max_rows=3, stop_token_ids=set())
    doomed = [engine.open(seed) for seed in range(5)]
    tasks = [asyncio.create_task(session.sample([1, 2], 100)) for session in doomed]
    kept = asyncio.create_task(play(engine, 7, [1, 2], [(3,)], 10))
    for _ in range(8):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert all(isinstance(result, asyncio.CancelledError) for result in await within(20, *tasks))
    assert_logprobs_are_the_models(model, await asyncio.wait_for(kept, 20))
    assert engine.num_open_rows == 0
    with pytest.raises(RuntimeError, match="closed"):
        await doomed[0].sample([1], 1)


async def test_closing_a_row_moves_another_without_harm(model):
    engine = make_engine(model)
    sessions = [engine.open(seed) for seed in range(4)]
    prompts = [[1, 2, 3, seed] for seed in range(4)]
    firsts = await within(20, *(s.sample(p, 6) for s, p in zip(sessions, prompts, strict=True)))
    sessions[0].close()
    sessions[1].close()
    sessions[1].close()
    seconds = await within(20, *(session.sample([8, 9], 6) for session in sessions[2:]))
    for prompt, first, second in zip(prompts[2:], firsts[2:], seconds, strict=True):
        ids = [*prompt, *first.token_ids, 8, 9, *second.token_ids]
        expected = recomputed(model, ids)[-len(second.logprobs) :]
        assert second.logprobs == pytest.approx(expected, abs=1e-4)


def test_one_engine_serves_one_event_loop_after_another(model):
    engine = make_engine(model)
    first, second = (asyncio.run(play(engine, 0, [1, 2, 3])) for _ in range(2))
    assert first.ids == second.ids


async def test_long_batches_are_split(model):
    engine = make_engine(model, max_append_tokens=10)
    episodes = await within(60, *(play(engine, seed, [seed] * 7, [[seed] * 25]) for seed in range(6)))
    for episode in episodes:
        assert_logprobs_are_the_models(model, episode)


@pytest.mark.parametrize(("token_ids", "max_tokens"), [([], 3), ([1], 0), ([VOCABULARY], 3), ([-1], 3)])
async def test_wrong_calls_hurt_only_the_caller(model, token_ids, max_tokens):
    engine = make_engine(model)
    other = asyncio.create_task(play(engine, 0, [1, 2, 3]))
    with pytest.raises(ValueError, match="token"):
        await engine.open(1).sample(token_ids, max_tokens)
    assert (await asyncio.wait_for(other, 20)).ids


def test_a_negative_temperature_is_refused(model):
    with pytest.raises(UsageError):
        make_engine(model, temperature=-1.0)


async def test_a_session_has_a_temperature_of_its_own_whatever_is_sampled_beside_it(model):
    engine = make_engine(model, temperature=1.0)

    async def said(*how):
        session = engine.open(*how)
        try:
            return await session.sample([1, 2, 3], 12)
        finally:
            session.close()

    alone = [await said(seed, temperature) for seed, temperature in ((0, 0.0), (1, 2.0), (2, None))]
    together = await within(20, said(0, 0.0), said(1, 2.0), said(2, None), said(3, 0.0, 0.5), said(4, 1.5, 0.5))
    assert [one.token_ids for one in together[:3]] == [one.token_ids for one in alone]
    assert together[3].token_ids == alone[0].token_ids, "temperature 0 draws nothing"


async def test_who_hears_the_tokens_can_end_the_turn(model):
    engine = make_engine(model, temperature=0.0)
    whole, heard = (await play(engine, 0, [1, 2, 3], [])).samples[0], []
    session = engine.open(0)
    cut = await session.sample([1, 2, 3], 12, lambda token: heard.append(token) or len(heard) == 2)
    assert heard == cut.token_ids == whole.token_ids[:2]
    assert cut.is_stopped
    again = await session.sample([4], 3)
    assert 1 <= len(again.token_ids) <= 3
    session.close()
    assert engine.num_open_rows == 0
