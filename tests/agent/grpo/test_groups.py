"""Groups: the rollouts of one question with their own rewards, and what the trainer learns from them."""

from __future__ import annotations

import pytest

from agent.grpo.grading import Overlong
from agent.grpo.groups import Group, play_groups, training_samples
from agent.policies.local import LocalPolicy
from agent.policies.scripted import answer, search
from agent.rollout import rollout_many
from inbox_env.actions import StopReason
from rewards.base import Reward
from rewards.grader import Grader
from tests.agent.tiny import ScriptedEngine

ENDINGS = (answer(None), answer("$5"), search("Room"))
OPTIONS = {"concurrency": 64, "deadline_seconds": 60.0}


def policy_of(chat, *endings):
    return LocalPolicy(ScriptedEngine(*([chat.action_ids(action)] * 3 for action in endings)), chat, prompt="laptop")


def stop_reward(trajectory, question):
    assert trajectory.question_id == question.id
    if trajectory.stop_reason is StopReason.ERROR:
        return Reward.unscorable(trajectory.error)
    return Reward.of({"stop": {StopReason.GAVE_UP: 0.0, StopReason.ANSWERED: 1.0}.get(trajectory.stop_reason, -1.0)})


async def play(chat, arena, questions, *endings, size=3):
    return await play_groups(policy_of(chat, *endings), arena, questions, size, Grader(stop_reward), **OPTIONS)


async def test_every_question_gets_its_rollouts_and_their_rewards_in_order(arena, chat):
    questions = [arena.questions[3], arena.questions[1], arena.questions[2]]
    groups = await play(chat, arena, questions, *ENDINGS)
    assert [group.question for group in groups] == questions
    for group in groups:
        assert {one.trajectory.question_id for one in group.rollouts} == {group.question.id}
        assert group.values == [0.0, 1.0, -1.0]
        assert group.has_spread


async def test_members_of_a_group_are_sampled_with_seeds_of_their_own(arena, chat):
    policy = policy_of(chat, answer(None))
    await play_groups(policy, arena, arena.questions[:4], 3, Grader(stop_reward), **OPTIONS)
    assert len(set(policy.engine.seeds)) == 12


@pytest.mark.parametrize("scale", ["none", "std"])
async def test_advantages_of_a_group_sum_to_zero_and_rank_as_the_rewards(arena, chat, scale):
    (group,) = await play(chat, arena, arena.questions[:1], *ENDINGS)
    samples = training_samples([group], 7, scale=scale)
    advantages = [sample.advantage for sample in samples]
    assert sum(advantages) == pytest.approx(0.0, abs=1e-12)
    assert sorted(range(3), key=advantages.__getitem__) == [2, 0, 1]
    for sample, member in zip(samples, group.rollouts, strict=True):
        assert list(sample.token_ids) == member.trace.token_ids
        assert list(sample.action_mask) == member.trace.action_mask
        assert sample.policy_version == 7


async def test_an_outage_is_neither_learnt_from_nor_counted(arena, chat):
    engine = ScriptedEngine([chat.action_ids(answer(None))], [RuntimeError("lost")], [chat.action_ids(answer("$5"))])
    policy = LocalPolicy(engine, chat, prompt="laptop")
    (group,) = await play_groups(policy, arena, arena.questions[:1], 3, Grader(stop_reward), **OPTIONS)
    assert group.values == [0.0, None, 1.0]
    assert [sample.advantage for sample in training_samples([group], 0)] == [-0.5, 0.5]


async def test_equal_rewards_teach_nothing(arena, chat):
    (group,) = await play(chat, arena, arena.questions[:1], answer(None))
    assert not group.has_spread
    assert [sample.advantage for sample in training_samples([group], 0)] == [0.0] * 3


async def test_what_a_limit_cut_can_be_left_out_but_counts_in_the_baseline(arena, chat):
    engine = ScriptedEngine([chat.action_ids(answer(None))], [list(range(200, 290))], [chat.action_ids(answer("$5"))])
    policy = LocalPolicy(engine, chat, prompt="laptop")
    (group,) = await play_groups(policy, arena, arena.questions[:1], 3, Grader(stop_reward), **OPTIONS)
    assert group.values == [0.0, -1.0, 1.0]
    assert [sample.advantage for sample in training_samples([group], 0)] == [0.0, -1.0, 1.0]
    assert [sample.advantage for sample in training_samples([group], 0, is_cut_masked=True)] == [0.0, 1.0]


async def test_rollouts_that_ran_long_pay_for_it(arena, chat):
    policy = policy_of(chat, *ENDINGS)
    overlong = Overlong(limit=20, buffer=19, penalty=-0.5)
    (group,) = await play_groups(
        policy, arena, arena.questions[:1], 3, Grader(stop_reward), **OPTIONS, overlong=overlong
    )
    assert group.values == [-0.5, 0.5, -1.5]
    assert [reward.parts["overlong"] for reward in group.rewards] == [-0.5] * 3


async def test_bad_rewards_are_counted_and_their_rollouts_left_out(arena, chat):
    policy = policy_of(chat, *ENDINGS)
    (group,) = await play_groups(
        policy, arena, arena.questions[:1], 3, Grader(stop_reward, allowed=(-0.5, 1.0)), **OPTIONS
    )
    assert group.values == [0.0, 1.0, None]
    assert group.num_bad_rewards == 1
    assert [sample.advantage for sample in training_samples([group], 0)] == [-0.5, 0.5]


async def test_rollouts_without_tokens_give_no_samples(arena, chat):
    from agent.policies.demonstrator import oracle

    question = arena.questions[0]
    rollouts = await rollout_many(oracle(arena.gold), arena.envs([question] * 2))
    group = Group(question, tuple(rollouts), (Reward.of({"x": 0.0}), Reward.of({"x": 1.0})))
    assert group.has_spread
    assert training_samples([group], 0) == []
