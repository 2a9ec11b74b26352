"""Conversations that go on: only what is new is computed, nobody hears of another, and no row is held for ever."""

from __future__ import annotations

import asyncio

import pytest

from agent.sampling.sample_tokens import Draw
from agent.sampling.torch_engine import TorchEngine
from scripts.model_server.generator import Drawing, Generator, KeptSessions
from tests.agent.tiny import VOCABULARY, make_model

GREEDY = Drawing(6, 0, Draw(0.0))


@pytest.fixture
def engine():
    return TorchEngine(make_model(), stop_token_ids={1}, max_rows=4, max_context=200, temperature=0.0)


@pytest.fixture
def generator(engine):
    generator = Generator(engine, num_slots=4, num_queued=50, deadline_seconds=30)
    yield generator
    generator.close()


def appended_of(engine, monkeypatch):
    """How many tokens each row was given at a time."""
    counts, append = [], engine._decoder.append

    def counting(cache, batch):
        counts.extend(len(part.token_ids) for part in batch)
        return append(cache, batch)

    monkeypatch.setattr(engine._decoder, "append", counting)
    return counts


async def converse(generator, start, turns=4, drawing=GREEDY):
    """An episode over the wire; returns what was sampled."""
    ids, said = list(start), []
    for number in range(turns):
        sample = await generator.sample(ids, drawing)
        said.append(sample.token_ids)
        ids = ids + sample.token_ids + [5 + number, 7]
    return said


async def test_a_conversation_that_goes_on_is_computed_once(engine, generator, monkeypatch):
    counts = appended_of(engine, monkeypatch)
    prompt = list(range(2, 42))
    said = await converse(generator, prompt)
    assert counts == [40, 3, 3, 3], "the last sampled token and two new ones"
    assert engine.num_open_rows == len(generator.kept) == 1
    fresh = Generator(engine, num_slots=4, num_queued=0, deadline_seconds=30)
    fresh.kept = KeptSessions(0)
    assert await converse(fresh, prompt) == said
    fresh.close()


async def test_who_asks_with_other_words_gets_nothing_of_a_kept_conversation(engine, generator, monkeypatch):
    first = await generator.sample([3, 4, 5], GREEDY)
    counts = appended_of(engine, monkeypatch)
    await generator.sample([3, 4, 6, *first.token_ids, 9], GREEDY)
    await generator.sample([3, 4, 5, *first.token_ids[:-1], 9, 9], GREEDY)
    assert counts == [4 + len(first.token_ids), 4 + len(first.token_ids)]


async def test_a_seed_draws_the_same_whether_the_conversation_was_kept_or_not(engine, generator):
    drawings = [Drawing(6, seed, Draw(1.5)) for seed in (1, 2, 1)]
    kept = [await converse(generator, [2, 3, 4], 3, drawing) for drawing in drawings]
    forgetful = Generator(engine, num_slots=4, num_queued=0, deadline_seconds=30)
    forgetful.kept = KeptSessions(0)
    assert await converse(forgetful, [2, 3, 4], 3, drawings[0]) == kept[0] == kept[2] != kept[1]
    forgetful.close()


async def test_kept_conversations_give_way_and_all_turns_end(engine, generator):
    starts = [[2 + number % 500, 3, 4 + number] for number in range(24)]
    said = await asyncio.wait_for(asyncio.gather(*(converse(generator, start, 3) for start in starts)), 30)
    assert engine.num_open_rows == len(generator.kept) <= 4
    assert [len(one) for one in said] == [3] * 24
    alone = await converse(generator, starts[5], 3)
    assert alone == said[5]


async def test_a_full_or_failed_conversation_is_not_kept(engine, generator, monkeypatch):
    await generator.sample([2] * 199, GREEDY)
    assert len(generator.kept) == 0
    first = await generator.sample([3, 4, 5], GREEDY)
    assert len(generator.kept) == 1

    def break_down(*_):
        raise RuntimeError("no device")

    with monkeypatch.context() as patch:
        patch.setattr(engine._decoder, "append", break_down)
        with pytest.raises(RuntimeError, match="no device"):
            await generator.sample([6, 7, 8], GREEDY)
    again = await generator.sample([3, 4, 5, *first.token_ids, 9], GREEDY)
    assert again.token_ids
    assert all(0 <= token < VOCABULARY for token in again.token_ids)
    assert engine.num_open_rows == len(generator.kept) == 1
