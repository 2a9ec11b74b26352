"""Grading: what a reward function must not return is masked and counted; length costs what was agreed."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.grpo.grading import Overlong, with_overlong
from agent.judge_config import JudgeConfig, RewardConfig
from agent.make_grader import declared_range, make_grader
from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.base import Reward
from rewards.grader import Grader, grade
from rewards.ladder import LadderConfig, make_ladder

QUESTION = Question(id="q", inbox="i", question="?", answer="$5", message_ids=("<m>",))


def episode(answer="$5", sources=("<m>",), num_calls=3, num_invalid=0, stop=StopReason.ANSWERED):
    good = ToolResultRecord(name="search_emails", arguments={"keywords": ["a"]}, content="", listed=("<m>",))
    bad = ToolResultRecord(name="?", arguments=None, content="", is_error=True)
    turns = [Turn(text="", results=(good,))] * num_calls + [Turn(text="", results=(bad,))] * num_invalid
    return Trajectory(
        question_id="q",
        inbox="i",
        policy="p",
        question="?",
        opening="o",
        turns=tuple(turns),
        stop_reason=stop,
        answer=answer,
        sources=sources,
    )


def raising(value):
    return lambda *_: Reward.of({"x": value})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.31, -1.51, 1e300])
def test_a_reward_that_is_no_number_or_out_of_range_is_masked(value):
    reward, is_bad = grade(raising(value), episode(), QUESTION, (-1.5, 1.3))
    assert is_bad
    assert reward.value is None
    assert reward.reason


@pytest.mark.parametrize("returned", [None, 0.5, "right"])
def test_what_is_no_reward_at_all_is_masked(returned):
    reward, is_bad = grade(lambda *_: returned, episode(), QUESTION)
    assert (reward.value, is_bad) == (None, True)


@pytest.mark.parametrize("value", [-1.5, 0.0, 1.3])
def test_a_reward_within_the_range_is_left_as_it_is(value):
    reward, is_bad = grade(raising(value), episode(), QUESTION, (-1.5, 1.3))
    assert (reward.value, is_bad) == (value, False)


def test_an_episode_that_could_not_be_scored_is_not_a_bad_reward():
    assert grade(lambda *_: Reward.unscorable("outage"), episode(), QUESTION)[1] is False


def test_f41_an_episode_that_an_outage_ended_is_masked_before_a_reward_function_sees_it(tmp_path):
    seen = []
    (tmp_path / "own.py").write_text("def reward(trajectory, question): raise KeyError(trajectory.answer)")
    own = make_grader(RewardConfig(kind="custom", function=f"{tmp_path / 'own.py'}:reward"), JudgeConfig())
    plain = Grader(lambda trajectory, _: seen.append(trajectory) or Reward.of({"one": 1}))
    failed = episode(stop=StopReason.ERROR).model_copy(update={"error": "api: 503"})
    for grader in (own, plain):
        (graded,) = asyncio.run(grader.grade_group([failed], QUESTION))
        assert (graded.reward.value, graded.reward.reason, graded.is_bad) == (None, "api: 503", False)
    assert seen == []
    fine, broken = asyncio.run(plain.grade_group([episode(), failed], QUESTION))
    assert (fine.reward.value, broken.reward.value, len(seen)) == (1, None, 1)


def test_a_mistake_in_a_reward_function_is_not_masked():
    def broken(*_):
        raise KeyError("oops")

    with pytest.raises(KeyError):
        grade(broken, episode(), QUESTION)


@given(
    wrong=st.floats(-2, -0.2),
    right=st.floats(0.2, 2),
    process=st.floats(0, 0.1),
    answer=st.sampled_from([None, "$5", "$6"]),
    num_calls=st.integers(0, 12),
    num_invalid=st.integers(0, 60),
    stop=st.sampled_from([StopReason.ANSWERED, StopReason.GAVE_UP, StopReason.MAX_TURNS, StopReason.MAX_TOKENS]),
)
def test_no_episode_leaves_the_range_that_a_ladder_declares(
    wrong, right, process, answer, num_calls, num_invalid, stop
):
    config = LadderConfig(wrong=wrong, right=right, process_bonus=process, invalid_call=-0.4, cut_short=-1.0)
    trajectory = episode(answer, ("<m>",) if answer else (), num_calls, num_invalid, stop)
    reward, is_bad = grade(make_ladder(config), trajectory, QUESTION, declared_range(config))
    assert not is_bad
    assert reward.value is not None


def test_length_costs_nothing_up_to_the_buffer_and_rises_linearly_to_the_limit():
    overlong = Overlong(limit=100, buffer=20, penalty=-0.5)
    assert [overlong.of(n) for n in (0, 80, 85, 90, 100, 130)] == [0.0, 0.0, -0.125, -0.25, -0.5, -0.5]
    assert Overlong(100, 0, -0.5).of(100) == 0.0
    paid = with_overlong(Reward.of({"right": 1.0}), 90, overlong)
    assert (paid.value, paid.parts) == (0.75, {"right": 1.0, "overlong": -0.25})
    plain = Reward.of({"right": 1.0})
    assert with_overlong(plain, 10, overlong) is plain
    assert with_overlong(Reward.unscorable("x"), 100, overlong).value is None
    assert with_overlong(plain, 100, None) is plain
