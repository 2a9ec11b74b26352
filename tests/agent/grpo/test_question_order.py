"""The order of questions: epochs are permutations, it can be saved anywhere, and mastered ones are left out."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.grpo.question_order import QuestionOrder
from inbox_env.questions import Question

QUESTIONS = [Question(id=f"q{n}", inbox="i", question="?", answer="a", message_ids=("<m>",)) for n in range(7)]


def ids(questions):
    return [question.id for question in questions]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9), takes=st.lists(st.integers(0, 9), max_size=8))
def test_every_epoch_is_a_permutation_however_it_is_taken(seed, takes):
    order = QuestionOrder(QUESTIONS, seed)
    taken = [question for count in takes for question in order.take(count)]
    assert len(taken) == sum(takes)
    for start in range(0, len(taken) - 6, 7):
        assert sorted(ids(taken[start : start + 7])) == sorted(ids(QUESTIONS))
    assert ids(taken) == ids(QuestionOrder(QUESTIONS, seed).take(sum(takes)))


def test_epochs_and_seeds_differ():
    order = QuestionOrder(QUESTIONS, 1)
    assert ids(order.take(7)) != ids(order.take(7))
    assert ids(QuestionOrder(QUESTIONS, 1).take(7)) != ids(QuestionOrder(QUESTIONS, 2).take(7))


@settings(max_examples=60, deadline=None)
@given(before=st.integers(0, 30), after=st.integers(0, 30), retired=st.sets(st.sampled_from(range(7))))
def test_a_restored_order_goes_on_as_the_saved_one(before, after, retired):
    order = QuestionOrder(QUESTIONS, 3)
    order.take(before // 2)
    for number in retired:
        order.retire(QUESTIONS[number])
    order.take(before - before // 2)
    restored = QuestionOrder(QUESTIONS, 3)
    restored.restore(json.loads(json.dumps(order.state())))
    assert ids(restored.take(after)) == ids(order.take(after))
    assert restored.state() == order.state()


@pytest.mark.parametrize("num_retired", [1, 6])
def test_retired_questions_are_not_taken_while_others_are_left(num_retired):
    order = QuestionOrder(QUESTIONS, 4)
    for question in QUESTIONS[:num_retired]:
        order.retire(question)
        order.retire(question)
    counts = Counter(ids(order.take(3 * (7 - num_retired))))
    assert counts == dict.fromkeys(ids(QUESTIONS[num_retired:]), 3)


def test_when_all_are_mastered_all_are_asked_again():
    order = QuestionOrder(QUESTIONS, 4)
    for question in QUESTIONS:
        order.retire(question)
    assert Counter(ids(order.take(14))) == dict.fromkeys(ids(QUESTIONS), 2)


def test_a_restored_order_forgets_retired_questions_that_are_no_longer_asked():
    order = QuestionOrder(QUESTIONS, 4)
    for question in QUESTIONS[:4]:
        order.retire(question)
    fewer = QuestionOrder(QUESTIONS[3:], 4)
    fewer.restore(order.state())
    assert "q3" not in ids(fewer.take(6))


def rated(rates, seed=5):
    order = QuestionOrder(QUESTIONS, seed, prefer_middling=True)
    for number, rate in rates.items():
        for _ in range(8):
            order.note(QUESTIONS[number], rate)
    return order


def test_middling_questions_are_asked_more_often_than_those_always_or_never_right():
    order = rated({0: 0.0, 1: 0.5, 2: 1.0, 3: 0.1})
    counts = Counter(ids(order.take(2000)))
    assert counts["q1"] == pytest.approx(counts["q6"], abs=2)  # never asked yet: as good as middling
    for number, share in ((0, 0.1), (2, 0.1), (3, 0.36)):
        assert counts[f"q{number}"] / counts["q1"] == pytest.approx(share, abs=0.06)


def test_a_pass_rate_follows_what_was_seen_last():
    order = rated({0: 0.0})
    assert order.chance(QUESTIONS[0]) == 0.1
    for _ in range(2):
        order.note(QUESTIONS[0], 1.0)
    assert order.chance(QUESTIONS[0]) == pytest.approx(4 * 0.75 * 0.25, abs=0.01)


def test_without_the_preference_pass_rates_change_nothing():
    plain, noted = QuestionOrder(QUESTIONS, 3), QuestionOrder(QUESTIONS, 3)
    for question in QUESTIONS:
        noted.note(question, 0.0)
    assert ids(noted.take(30)) == ids(plain.take(30))
    assert noted.state() == plain.state()


@settings(max_examples=40, deadline=None)
@given(rates=st.dictionaries(st.integers(0, 6), st.floats(0, 1)), before=st.integers(0, 30), after=st.integers(0, 30))
def test_a_restored_preference_goes_on_as_the_saved_one(rates, before, after):
    order = rated(rates)
    order.take(before)
    restored = QuestionOrder(QUESTIONS, 5, prefer_middling=True)
    restored.restore(json.loads(json.dumps(order.state())))
    assert ids(restored.take(after)) == ids(order.take(after))
