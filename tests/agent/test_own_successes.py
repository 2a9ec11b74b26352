"""Imitating one's own successes: only what earned enough is kept, as it was sampled, and it becomes likelier."""

from __future__ import annotations

import asyncio

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agent.agent_card import AgentCard
from agent.arena import Arena
from agent.imitation import warm_start
from agent.model_folder import LoadedModel
from agent.own_successes import own_successes, play_for_successes
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, search
from agent.policy import TokenTrace
from agent.rollout import Rollout
from agent.segment_attention import enable_segment_attention
from agent.sft import demonstrate, imitate
from inbox_env.actions import StopReason
from inbox_env.errors import UsageError
from inbox_env.trajectory import Trajectory
from rewards.base import Reward
from tests.agent.tiny import CONTEXT, LIMITS, make_config, make_model


def play(question="q", reward=1.0, tokens=3, stop=StopReason.ANSWERED, has_trace=True):
    trace = TokenTrace()
    trace.extend([1, 2])
    trace.extend(list(range(10, 10 + tokens)), [-0.5] * tokens)
    trajectory = Trajectory(
        question_id=question, inbox="i", policy="p", question="?", opening="o", turns=(), stop_reason=stop
    )
    value = Reward.unscorable("lost") if reward is None else Reward.of({"x": reward})
    return Rollout(trajectory, trace if has_trace else None), value


plays = st.lists(
    st.builds(
        play,
        st.sampled_from("abc"),
        st.sampled_from([None, -1.0, 0.5, 1.0, 1.2]),
        st.integers(0, 5),
        st.sampled_from(list(StopReason)),
        st.booleans(),
    ),
    max_size=30,
)


@given(plays, st.integers(1, 3))
def test_only_what_earned_enough_is_kept_and_at_most_so_much_of_a_question(graded, most):
    kept = {id(trace) for trace in own_successes(graded, 0.5, max_per_question=most)}
    chosen = [(one, reward) for one, reward in graded if id(one.trace) in kept and one.trace]
    assert len(chosen) == len(kept)
    assert all(reward.value is not None and reward.value >= 0.5 for _, reward in chosen)
    assert not any(one.trajectory.stop_reason in (StopReason.MAX_TOKENS, StopReason.DEADLINE) for one, _ in chosen)
    questions = [one.trajectory.question_id for one, _ in chosen]
    assert all(questions.count(question) <= most for question in "abc")


def test_the_best_and_then_the_shortest_of_a_question_are_kept_as_they_were_sampled():
    graded = [play(tokens=2), play(tokens=1, reward=0.6), play(tokens=4), play(reward=1.2, tokens=9), play("r")]
    traces = own_successes(graded, 0.5, max_per_question=2)
    assert [trace is graded[place][0].trace for trace, place in zip(traces, (3, 0, 4), strict=True)] == [True] * 3


@pytest.fixture(scope="module")
def one_turn(arena):
    """An arena of one turn in which saying "I don't know" is always right."""
    questions = [question for question in arena.questions if not question.answerable]
    inboxes = {question.inbox: arena.inbox(question.inbox) for question in questions}
    return Arena(inboxes, questions, arena.limits.model_copy(update={"max_turns": 1}))


@pytest.fixture
def loaded(one_turn, chat):
    """A model that either searches or gives up, each about half of the time."""
    model = make_model(1)
    enable_segment_attention(model)

    async def lessons():
        policies = [
            ScriptedPolicy("s", lambda *_, act=act: (one for one in [act]), perfect_reader({}))
            for act in (search("a"), answer(None))
        ]
        return [
            await demonstrate(policy, one_turn.env(question), chat, "laptop")
            for policy in policies
            for question in one_turn.questions
        ]

    traces = asyncio.run(lessons())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        imitate(model, optimizer, traces)
    return LoadedModel(model, chat, AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=30, max_context=CONTEXT))


def make_own(tmp_path, **changes):
    warm = {"source": "own", "steps": 10, "rounds": 2, "num_questions": 20, "min_reward": 0.9, "learning_rate": 0.01}
    return make_config(
        tmp_path,
        warm_start={**warm, **changes},
        sampling={"max_new_tokens": 30, "max_rows": 32},
        env={"max_turns": 1},
        grpo={"group_size": 4},
    )


def test_a_model_gets_better_at_what_it_did_right_sometimes(tmp_path, one_turn, loaded):
    config = make_own(tmp_path)
    before = play_for_successes(config, loaded, one_turn, 7)
    assert len(before) > 0
    assert warm_start(config, loaded, one_turn) == 10
    after = play_for_successes(config, loaded, one_turn, 7)
    assert len(after) > len(before)


def test_the_same_seed_gives_the_same_warm_start(tmp_path, one_turn, loaded):
    config = make_own(tmp_path, steps=3, learning_rate=0.001)
    start = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    found = []
    for _ in range(2):
        loaded.model.load_state_dict(start)
        warm_start(config, loaded, one_turn)
        found.append({name: tensor.clone() for name, tensor in loaded.model.state_dict().items()})
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
    assert any(not torch.equal(tensor, start[name]) for name, tensor in found[0].items())


def test_nothing_good_enough_is_a_clear_refusal(tmp_path, one_turn, loaded):
    with pytest.raises(UsageError, match="none of the model's own episodes earned 99"):
        warm_start(make_own(tmp_path, min_reward=99.0), loaded, one_turn)
