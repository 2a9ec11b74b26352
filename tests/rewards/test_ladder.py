"""The ladder: one table of outcomes, and tiers that never cross whatever the configuration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inbox_env.actions import StopReason
from rewards.base import Reward
from rewards.ladder import LadderConfig, Outcome, classify, correctness, make_ladder

PLAIN = LadderConfig()
FIND = LadderConfig(mode="find")
GOLD, OTHER = ("<gold>",), ("<other>",)


def episodes(build):
    """Name -> (trajectory, question, reward by the default ladder)."""
    hits = build.search("a", listed=("<gold>", "<other>"))
    steps = (hits, build.read("<gold>"))
    play, yes, no = build.play, build.answerable, build.unanswerable
    return {
        "right, cited, brief": (play(*steps, answer="$5", sources=GOLD), yes, 1.3),
        "right, not cited": (play(*steps, answer="$5"), yes, 1.05),
        "right, half the sources hold": (play(*steps, answer="$5", sources=GOLD + OTHER), yes, 1.1 + 0.05 + 0.1 / 3),
        "right, cited unseen": (play(answer="$5", sources=GOLD), yes, 1.1),
        "right, made-up source": (play(*steps, answer="$5", unknown_sources=("9",)), yes, 1.1),
        "right after long": (play(*(steps * 5), answer="$5", sources=GOLD), yes, 1.25),
        "wrong": (play(*steps, answer="$6", sources=GOLD), yes, -1.0),
        "undecided": (play(*steps, answer="a lot", sources=GOLD), yes, -1.0),
        "two answers": (play(*steps, answer="$5 or $6", sources=GOLD), yes, -1.0),
        "answered the unanswerable": (play(*steps, answer="$5", sources=GOLD), no, -1.0),
        "gave up": (play(*steps), yes, 0.0),
        "abstained rightly": (play(*steps), no, 1.0),
        "abstained rightly at once": (play(), no, 1.0),
        "out of turns": (play(*steps, stop=StopReason.MAX_TURNS), yes, 0.0),
        "out of turns, unanswerable": (play(*steps, stop=StopReason.MAX_TURNS), no, 0.0),
        "out of tokens": (play(hits, stop=StopReason.MAX_TOKENS), yes, 0.0),
        "out of time": (play(hits, stop=StopReason.DEADLINE), yes, 0.0),
        "only garbage": (play(*[build.garbage()] * 3, stop=StopReason.INVALID_CALLS), yes, -0.15),
        "garbage, then right": (play(build.garbage(), *steps, answer="$5", sources=GOLD), yes, 1.25 - 0.1 / 14 + 0.0),
        "garbage, then wrong": (play(build.garbage(), answer="$6"), yes, -1.05),
    }


def test_every_outcome_is_worth_what_the_table_says(build):
    ladder = make_ladder(PLAIN)
    for name, (trajectory, question, expected) in episodes(build).items():
        assert ladder(trajectory, question).value == pytest.approx(expected), name


def test_the_value_is_the_sum_of_named_parts(build):
    trajectory, question, _ = episodes(build)["right, cited, brief"]
    reward = make_ladder(PLAIN)(trajectory, question)
    assert reward.parts == pytest.approx({"right": 1.0, "cited": 0.2, "brevity": 0.1})


def test_an_outage_is_unscorable_and_never_zero(build):
    reward = make_ladder(PLAIN)(build.play(stop=StopReason.ERROR), build.answerable)
    assert reward.value is None
    assert reward.reason


def test_a_reward_is_finite_or_none():
    with pytest.raises(ValueError, match="finite"):
        Reward(math.nan)


def test_process_pay_comes_only_with_an_answer(build):
    ladder = make_ladder(LadderConfig(process_bonus=0.1))
    steps = (build.search("a", listed=GOLD), build.read("<gold>"))
    assert ladder(build.play(*steps, answer="$6"), build.answerable).value == pytest.approx(-0.9)
    assert ladder(build.play(steps[0], answer="$6"), build.answerable).value == pytest.approx(-0.95)
    for stop in (None, StopReason.MAX_TURNS, StopReason.INVALID_CALLS, StopReason.DEADLINE):
        assert ladder(build.play(*steps, stop=stop), build.answerable).value == 0.0


def test_abstaining_pays_only_after_enough_different_searches(build):
    config = LadderConfig(min_searches_to_abstain=2)
    repeated = build.play(build.search("a"), build.search("A", page=2))
    different = build.play(build.search("a"), build.search("b"))
    failed = build.play(build.search("a"), build.search("b", is_error=True))
    values = [make_ladder(config)(play, build.unanswerable).value for play in (repeated, failed, different)]
    assert values == pytest.approx([0.0, -0.05, 1.0])
    assert correctness(repeated, build.unanswerable, "answer")


def test_in_find_mode_the_right_mail_must_be_cited_and_shown(build):
    hits = build.search("a", listed=("<gold>", "<other>", "<third>"))
    cases = {
        Outcome.RIGHT: [
            build.play(hits, answer="", sources=GOLD),
            build.play(hits, answer="nonsense", sources=GOLD + OTHER),
            build.play(hits, answer=None, sources=GOLD),
        ],
        Outcome.WRONG: [
            build.play(hits, answer="$5", sources=OTHER),
            build.play(hits, answer="$5"),
            build.play(hits, answer="$5", sources=(*GOLD, *OTHER, "<third>")),
            build.play(answer="$5", sources=GOLD),
            build.play(hits, answer="$5", sources=GOLD, unknown_sources=("7",)),
        ],
        Outcome.GAVE_UP: [build.play(hits), build.play(hits, stop=StopReason.MAX_TURNS)],
    }
    for outcome, plays in cases.items():
        assert {classify(play, build.answerable, FIND) for play in plays} == {outcome}
    assert classify(build.play(hits, answer="x", sources=OTHER), build.unanswerable, FIND) is Outcome.WRONG
    assert classify(build.play(hits, sources=OTHER), build.unanswerable, FIND) is Outcome.WRONG
    assert classify(build.play(hits), build.unanswerable, FIND) is Outcome.ABSTAINED


def test_a_null_answer_with_sources_is_no_answer_in_answer_mode(build):
    play = build.play(build.search("a", listed=GOLD), answer=None, sources=GOLD)
    assert classify(play, build.answerable, PLAIN) is Outcome.GAVE_UP


amounts = st.floats(-2, 2, allow_nan=False)
shares = st.floats(0, 1, allow_nan=False)


@settings(max_examples=300)
@given(
    mode=st.sampled_from(["answer", "find"]), wrong=amounts, gave_up=amounts, right=amounts, abstained_right=amounts,
    cited_bonus=shares, brevity_bonus=shares, invalid_call=st.floats(-1, 0), process_bonus=st.floats(0, 0.1),
    num_invalid=st.integers(0, 40),
)  # fmt: skip
def test_tiers_never_cross(build, num_invalid, **fields):
    try:
        ladder = make_ladder(config := LadderConfig(**fields))
    except ValidationError:
        return
    tiers: dict[Outcome, list[float]] = {outcome: [] for outcome in Outcome}
    for trajectory, question, _ in episodes(build).values():
        turns = trajectory.turns + build.play(*[build.garbage()] * num_invalid, stop=StopReason.MAX_TURNS).turns
        for play in (trajectory, trajectory.model_copy(update={"turns": turns})):
            tiers[classify(play, question, config)].append(ladder(play, question).value)
    assert max(tiers[Outcome.WRONG]) < min(tiers[Outcome.GAVE_UP])
    top = tiers[Outcome.RIGHT] + tiers[Outcome.ABSTAINED]
    assert max(tiers[Outcome.GAVE_UP]) < min(top)


@given(num_invalid=st.integers(0, 30), more=st.integers(1, 10), answer=st.sampled_from([None, "$5", "$6"]))
def test_invalid_calls_never_lift_a_reward(build, num_invalid, more, answer):
    ladder = make_ladder(LadderConfig(process_bonus=0.1))
    few, many = (build.play(*[build.garbage()] * number, answer=answer) for number in (num_invalid, num_invalid + more))
    assert ladder(many, build.answerable).value <= ladder(few, build.answerable).value


@pytest.mark.parametrize(
    "fields",
    [
        {"wrong": 0.0},
        {"wrong": -0.05, "process_bonus": 0.1},
        {"gave_up": 1.0},
        {"abstained_right": 0.0},
        {"process_bonus": 0.2},
        {"invalid_call": 0.1},
        {"cited_bonus": -0.1},
        {"right": math.inf},
        {"no_such_field": 1},
    ],
)
def test_a_ladder_that_crosses_or_is_misspelt_is_refused(fields):
    with pytest.raises(ValidationError):
        LadderConfig(**fields)


def test_every_field_has_its_doc():
    assert all(field.description for field in LadderConfig.model_fields.values())
