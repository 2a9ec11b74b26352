"""Rollouts: what ends an episode is named, and what was sampled is exactly what is marked as sampled."""

from __future__ import annotations

import asyncio

import pytest

from agent.policies.local import LocalPolicy
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read, search
from agent.rollout import rollout, rollout_many
from agent.sampling.torch_engine import TorchEngine
from inbox_env.actions import Action, StopReason
from inbox_env.errors import DivergedError
from tests.agent.tiny import CONTEXT, ScriptedEngine

GARBAGE = 77


def local(chat, *scripts, max_new_tokens=40, is_stopped=True):
    """A local policy that says the given actions (or raw ids, or raises, or waits)."""
    written = [[chat.action_ids(turn) if isinstance(turn, Action) else turn for turn in turns] for turns in scripts]
    return LocalPolicy(
        ScriptedEngine(*written, is_stopped=is_stopped), chat, prompt="laptop", max_new_tokens=max_new_tokens
    )


def scripted(*actions, name="s"):
    def script(opening, random):
        return (action for action in actions)

    return ScriptedPolicy(name, script, perfect_reader({}))


async def test_the_mask_covers_exactly_the_sampled_tokens(arena, chat):
    actions = [search("Room"), read(1), answer(None)]
    policy = local(chat, actions)
    played = await rollout(policy, arena.env(arena.questions[0]))
    trace, session = played.trace, policy.engine.sessions[0]
    assert len(trace.token_ids) == len(trace.action_mask) == len(trace.logprobs)
    expected_ids, expected_mask = [], []
    for appended, action in zip(session.appended, actions, strict=True):
        said = chat.action_ids(action)
        expected_ids += appended + said
        expected_mask += [0] * len(appended) + [1] * len(said)
    assert trace.token_ids == expected_ids
    assert trace.action_mask == expected_mask
    assert all((logprob < 0) == bool(mask) for logprob, mask in zip(trace.logprobs, trace.action_mask, strict=True))
    assert [turn.num_tokens for turn in played.trajectory.turns] == [len(chat.action_ids(action)) for action in actions]
    assert session.is_closed


async def test_the_model_sees_the_prompt_and_then_each_result_as_it_is_recorded(arena, chat):
    policy = local(chat, [search("Room"), answer(None)])
    played = await rollout(policy, arena.env(arena.questions[0]))
    first, second = policy.engine.sessions[0].appended
    assert arena.questions[0].question in chat.decode(first)
    assert second == chat.observation_ids([played.trajectory.turns[0].results[0].content])


async def test_a_real_sampler_gives_traces_of_equal_lengths_within_the_context(arena, chat, model):
    engine = TorchEngine(model, stop_token_ids=set(chat.stop_token_ids), max_rows=4, max_context=CONTEXT)
    policy = LocalPolicy(engine, chat, prompt="laptop", max_new_tokens=9)
    played = await rollout_many(policy, arena.envs(arena.questions[:6]))
    for one in played:
        trace = one.trace
        assert len(trace.token_ids) == len(trace.action_mask) == len(trace.logprobs)
        assert sum(trace.action_mask) == sum(turn.num_tokens for turn in one.trajectory.turns) > 0
        assert all(turn.num_tokens <= 9 for turn in one.trajectory.turns)
        assert all(logprob == 0 for logprob, mask in zip(trace.logprobs, trace.action_mask, strict=True) if not mask)
    assert engine.num_open_rows == 0


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ([answer("$5", [1])], StopReason.ANSWERED),
        ([search("Room"), answer(None)], StopReason.GAVE_UP),
        ([search("Room")] * 5, StopReason.MAX_TURNS),
        ([Action(())] * 5, StopReason.INVALID_CALLS),
    ],
)
async def test_what_ended_an_episode_is_named(arena, actions, reason):
    trajectory = (await rollout(scripted(*actions), arena.env(arena.questions[0]))).trajectory
    assert trajectory.stop_reason is reason
    assert trajectory.error == ""
    assert len(trajectory.turns) <= arena.limits.max_turns
    assert all(turn.results for turn in trajectory.turns)


async def test_a_turn_cut_by_the_token_limit_ends_the_episode_and_does_nothing(arena, chat):
    played = await rollout(local(chat, [answer("$5", [1])], max_new_tokens=3), arena.env(arena.questions[0]))
    assert played.trajectory.stop_reason is StopReason.MAX_TOKENS
    assert played.trajectory.answer is None
    assert [turn.results for turn in played.trajectory.turns] == [()]
    assert sum(played.trace.action_mask) == 3


async def test_on_turn_hears_of_every_turn_also_of_one_that_was_cut(arena, chat):
    for turns in ([search("Room"), [GARBAGE] * 60], [search("Room"), answer(None)]):
        heard = []
        played = await rollout(local(chat, turns), arena.env(arena.questions[0]), on_turn=heard.append)
        assert tuple(heard) == played.trajectory.turns
        assert len(heard) == 2


async def test_an_actor_that_fails_is_recorded_and_the_others_finish(arena, chat):
    policy = local(chat, [answer(None)], [search("Room"), RuntimeError("no power")], [answer("$5")])
    played = await rollout_many(policy, arena.envs(arena.questions[:3]))
    reasons = [one.trajectory.stop_reason for one in played]
    assert reasons == [StopReason.GAVE_UP, StopReason.ERROR, StopReason.ANSWERED]
    assert played[1].trajectory.error == "RuntimeError: no power"
    assert len(played[1].trajectory.turns) == 1
    assert all(session.is_closed for session in policy.engine.sessions)


async def test_a_timeout_of_something_else_than_the_deadline_is_an_outage(arena, chat):
    policy = local(chat, [TimeoutError("read timed out")])
    played = await rollout(policy, arena.env(arena.questions[0]), deadline_seconds=60)
    assert played.trajectory.stop_reason is StopReason.ERROR
    assert "read timed out" in played.trajectory.error


async def test_an_episode_past_its_deadline_ends_and_keeps_what_was_played(arena, chat):
    policy = local(chat, [search("Room"), 30.0, answer(None)], [answer(None)])
    played = await rollout_many(policy, arena.envs(arena.questions[:2]), deadline_seconds=0.5)
    late, quick = (one.trajectory for one in played)
    assert late.stop_reason is StopReason.DEADLINE
    assert late.error == ""
    assert len(late.turns) == 1
    assert quick.stop_reason is StopReason.GAVE_UP
    assert sum(played[0].trace.action_mask) == late.turns[0].num_tokens
    assert policy.engine.sessions[0].is_closed


async def test_rollouts_come_in_the_order_of_their_environments(arena, chat):
    turns = [[0.03 * (5 - number), answer(None)] for number in range(5)]
    played = await rollout_many(local(chat, *turns), arena.envs(arena.questions[:5]))
    assert [one.trajectory.question_id for one in played] == [question.id for question in arena.questions[:5]]


async def test_no_more_than_the_given_number_are_under_way(arena, chat):
    under_way, most = 0, 0
    policy = local(chat, [0.001, answer(None)])
    start = policy.start

    def counted(opening):
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        actor = start(opening)
        close = actor.close

        def leave():
            nonlocal under_way
            under_way -= 1
            close()

        actor.close = leave
        return actor

    policy.start = counted
    await rollout_many(policy, arena.envs(arena.questions[:9]), concurrency=2)
    assert (under_way, most) == (0, 2)


async def test_our_own_failures_are_raised(arena, chat):
    policy = local(chat, [answer(None)], [DivergedError(1, "not finite")])
    with pytest.raises(DivergedError, match="not finite"):
        await rollout_many(policy, arena.envs(arena.questions[:2]))


async def test_a_cancelled_rollout_gives_its_row_back(arena, chat):
    policy = local(chat, [30.0, answer(None)])
    task = asyncio.create_task(rollout(policy, arena.env(arena.questions[0])))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert policy.engine.sessions[0].is_closed


async def test_an_invalid_call_is_kept_as_it_was_written(arena, chat):
    garbage = chat.plain_ids("I think it is Tuesday.") + sorted(chat.stop_token_ids)
    played = await rollout(local(chat, [garbage, answer(None)]), arena.env(arena.questions[0]))
    turn = played.trajectory.turns[0]
    assert turn.text == "I think it is Tuesday."
    assert [(result.name, result.arguments, result.is_error) for result in turn.results] == [
        ("invalid_call", None, True)
    ]
