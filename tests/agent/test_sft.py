"""Imitation: a demonstration's tokens are those that a model acting so would have seen and said."""

from __future__ import annotations

from itertools import groupby
from random import Random

import pytest
import torch

from agent.policies.demonstrator import demonstrator
from agent.policies.local import LocalPolicy
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read, search
from agent.rollout import rollout
from agent.segment_attention import enable_segment_attention
from agent.sft import demonstrate, fill, first_action, imitate, repeat_drill, trace_of
from tests.agent.tiny import VOCABULARY, ScriptedEngine, make_model

ACTIONS = [search("Room", "Ada"), read(3), answer("B2", [3])]


def scripted(actions):
    return ScriptedPolicy("s", lambda opening, random: (action for action in actions), perfect_reader({}))


def learnt_parts(trace):
    """The runs of tokens that are to be learnt."""
    pairs = groupby(zip(trace.token_ids, trace.action_mask, strict=True), key=lambda pair: pair[1])
    return [[token for token, _ in run] for is_learnt, run in pairs if is_learnt]


@pytest.mark.parametrize("actions", [ACTIONS, [answer(None)], [search("Room")] * 3])
async def test_a_demonstration_has_the_tokens_of_a_rollout_that_acted_so(arena, chat, actions):
    question = arena.questions[0]
    trace = await demonstrate(scripted(actions), arena.env(question), chat, "laptop")
    policy = LocalPolicy(ScriptedEngine([chat.action_ids(action) for action in actions]), chat, prompt="laptop")
    acted = (await rollout(policy, arena.env(question))).trace
    assert trace.token_ids == acted.token_ids
    assert trace.action_mask == acted.action_mask
    assert trace.logprobs == [0.0] * len(trace.token_ids)


async def test_what_is_learnt_are_the_actions_and_nothing_else(arena, chat):
    policy = demonstrator(arena.gold)
    for question in arena.questions[:20]:
        played = (await rollout(policy, arena.env(question))).trajectory
        trace = await demonstrate(policy, arena.env(question), chat, "laptop")
        said = [[(call.name, call.arguments) for call in chat.parse(part).calls] for part in learnt_parts(trace)]
        assert [len(calls) for calls in said] == [len(turn.results) for turn in played.turns]
        assert [calls[0][0] for calls in said] == [turn.results[0].name for turn in played.turns]
        assert all(part[-1] in chat.stop_token_ids for part in learnt_parts(trace))


async def test_only_the_last_action_is_learnt_when_asked(arena, chat):
    env = arena.env(arena.questions[0])
    played = (await rollout(scripted(ACTIONS), env)).trajectory
    whole, last = (trace_of(played, [5, 6], chat, last_only=last_only) for last_only in (False, True))
    assert whole.token_ids == last.token_ids
    assert learnt_parts(last) == learnt_parts(whole)[-1:] == [chat.action_ids(ACTIONS[-1])]


async def test_the_first_action_is_cut_where_it_ends(arena, chat):
    trace = await demonstrate(scripted(ACTIONS), arena.env(arena.questions[0]), chat, "laptop")
    first = first_action(trace)
    assert learnt_parts(first) == [chat.action_ids(ACTIONS[0])]
    assert trace.token_ids[: len(first.token_ids)] == first.token_ids
    assert len(first.token_ids) == len(first.action_mask) == len(first.logprobs) < len(trace.token_ids)
    alone = await demonstrate(scripted([answer(None)]), arena.env(arena.questions[0]), chat, "laptop")
    assert first_action(alone) == alone


async def test_turns_that_were_no_call_are_left_out(arena, chat):
    garbage = chat.plain_ids("hm") + sorted(chat.stop_token_ids)
    turns = [garbage, chat.action_ids(search("Room")), chat.action_ids(answer(None))]
    policy = LocalPolicy(ScriptedEngine(turns), chat, prompt="laptop")
    played = (await rollout(policy, arena.env(arena.questions[0]))).trajectory
    trace = trace_of(played, [5], chat)
    assert [chat.parse(part).calls[0].name for part in learnt_parts(trace)] == ["search_emails", "return_final_answer"]


@pytest.mark.parametrize("seed", range(20))
def test_a_drill_repeats_its_block(seed):
    trace = repeat_drill(Random(seed), VOCABULARY, 16, 96)
    size = trace.action_mask.index(1)
    assert 4 <= size <= 48
    assert trace.action_mask == [0] * size + [1] * (96 - size)
    assert all(trace.token_ids[at] == trace.token_ids[at - size] for at in range(size, 96))
    assert min(trace.token_ids) >= 16


def test_a_batch_is_filled_to_its_size():
    stream = (repeat_drill(Random(seed), VOCABULARY, 16, 64) for seed in range(99))
    assert len(fill(stream, 200)) == 4


def test_imitating_lowers_the_loss_and_reports_what_it_did(model):
    enable_segment_attention(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    traces = [repeat_drill(Random(seed), VOCABULARY, 16, 32) for seed in range(3)]
    steps = [imitate(model, optimizer, traces) for _ in range(12)]
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert steps[0].num_actions == sum(sum(trace.action_mask) for trace in traces)
    assert steps[0].num_tokens <= 3 * 32
    assert steps[0].grad_norm > 0


def test_how_a_step_is_cut_into_batches_does_not_change_it():
    traces = [repeat_drill(Random(seed), VOCABULARY, 16, 32) for seed in range(5)]
    weights = []
    for max_tokens in (32, 64, 4096):
        model = make_model()
        enable_segment_attention(model)
        done = imitate(model, torch.optim.SGD(model.parameters(), lr=0.1), traces, max_tokens=max_tokens)
        weights.append((done.loss, model.model.embed_tokens.weight.detach().clone()))
    for loss, embedding in weights[1:]:
        assert loss == pytest.approx(weights[0][0], abs=1e-5)
        assert torch.allclose(embedding, weights[0][1], atol=1e-6)


def test_a_step_without_a_finite_gradient_leaves_the_weights_alone(model):
    enable_segment_attention(model)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    before = model.model.embed_tokens.weight.detach().clone()
    imitate(model, torch.optim.AdamW(model.parameters()), [repeat_drill(Random(1), VOCABULARY, 16, 32)])
    assert torch.equal(model.model.embed_tokens.weight, before)
