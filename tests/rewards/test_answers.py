"""The answer matcher: a table of labelled pairs, real questions with near misses, hostile input, speed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.answers import MAX_ANSWER_CHARS, contains_answer, match_answer
from rewards.values import parse
from tests.rewards.answer_cases import ask, forms_of, read_pairs, real_near_misses, real_questions

TABLES = ("answer_pairs.txt", "answer_pairs_wrapped.txt")
RIGHT, WRONG = ([pair for name in TABLES for pair in read_pairs(name, sign)] for sign in "+-")


@pytest.mark.parametrize("pair", RIGHT)
def test_another_way_to_say_the_gold_answer_is_right(pair):
    assert match_answer(pair.given, pair.asked()) is True


@pytest.mark.parametrize("pair", WRONG)
def test_another_value_or_a_doubtful_answer_is_never_right(pair):
    assert match_answer(pair.given, pair.asked()) is not True


def test_the_table_is_large_and_has_both_sides():
    assert len(RIGHT) >= 230
    assert len(WRONG) >= 230


@pytest.mark.parametrize("text", ["$4,280", "€4,820", "4820 people and $1"])
def test_another_value_of_the_gold_type_is_decided_as_wrong(text):
    assert match_answer(text, ask("How much is it?", "$4,820")) is False


def test_any_answer_to_an_unanswerable_question_is_wrong():
    assert match_answer("$5", ask("How much is it?", None)) is False


def test_words_that_a_matcher_cannot_judge_are_left_undecided():
    assert match_answer("they called it off", ask("What came of it?", "cancelled")) is None


def test_accepted_forms_count_and_the_fullest_form_guards_them():
    question = ask("When do we meet?", "Friday, July 6, 2001 (10:00 am)", "July 6", "Friday", "7/6/01 10:00am")
    assert all(match_answer(text, question) for text in ("July 6", "friday", "July 6th, 10 am", "Friday July 6"))
    for text in ("July 7", "Friday July 13", "July 6, 2002", "July 6, 11 am", "Friday, 10 pm", "Thursday July 6"):
        assert match_answer(text, question) is False


def test_a_year_that_nothing_vouches_for_is_not_right():
    question = ask("When is it?", "12 March", day="2001-04-01")
    assert match_answer("12 March 2001", question) is True
    assert match_answer("12 March 1987", question) is not True


def test_real_gold_answers_and_accepted_forms_are_all_right(shared_data):
    for question in real_questions(shared_data):
        for form in forms_of(question):
            assert match_answer(form, question) is True, (question.id, form)


def test_no_near_miss_of_a_real_answer_is_right(shared_data):
    misses = [(question, text) for question in real_questions(shared_data) for text in real_near_misses(question)]
    assert len(misses) > 10_000
    assert [(question.id, text) for question, text in misses if match_answer(text, question) is True] == []


def test_the_answer_to_another_real_question_is_right_only_when_it_says_the_same_value(shared_data):
    questions = real_questions(shared_data)
    for question in questions:
        own = {value for form in forms_of(question) for value in parse(form).values}
        for other in questions:
            if other is not question and match_answer(other.answer, question) is True:
                assert own & set(parse(other.answer).values), (question.id, other.answer)


@settings(max_examples=300)
@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_any_text_gets_a_verdict_and_the_gold_answer_matches_itself(text, gold):
    question = ask("What is it?", gold)
    assert match_answer(text, question) in (True, False, None)
    assert match_answer(gold, question) is True


@settings(max_examples=200)
@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_amounts_match_only_when_they_are_equal(one, other):
    question = ask("How much is it?", f"${one:,}")
    for text in (f"${other}", f"{other:,} dollars", f"USD {other}", f"It is ${other:,}.", str(other)):
        assert (match_answer(text, question) is True) == (one == other)


@settings(max_examples=200)
@given(st.times(), st.times())
def test_times_match_only_when_they_are_equal(one, other):
    question = ask("When is it?", f"{one:%I:%M %p}")
    for text in (f"{other:%H:%M}", f"{other:%I:%M%p}", f"at {other:%I.%M %p}".lower()):
        is_same = (one.hour, one.minute) == (other.hour, other.minute)
        if other.hour >= 13 or other.hour < 10 or "m" in text.lower():
            assert (match_answer(text, question) is True) == is_same, (question.answer, text)


@settings(max_examples=200)
@given(st.dates(), st.dates())
def test_dates_match_only_when_they_are_equal(one, other):
    question = ask("When is it?", f"{one.day} {one:%B} {one.year:04d}")
    for text in (f"{other:%B} {other.day}, {other.year:04d}", other.isoformat(), f"{other:%b} {other.day}"):
        is_same = one == other or (str(other.year) not in text and (one.month, one.day) == (other.month, other.day))
        assert (match_answer(text, question) is True) == is_same, (question.answer, text)


@pytest.mark.parametrize("unit", ["1", "1 ", "a-", "1,", "a.", "1-1-", "+1 ", "May 1 and ", "(", "1:", "a1-", "$", "é"])
def test_hostile_text_is_judged_quickly(unit):
    start = time.perf_counter()
    match_answer((unit * MAX_ANSWER_CHARS)[:MAX_ANSWER_CHARS], ask("When?", "12 March"))
    assert time.perf_counter() - start < 0.1


def test_a_text_dump_is_never_right():
    assert match_answer("It is $5. " + "And so on. " * 60, ask("How much?", "$5")) is None


def test_matching_is_fast_enough_for_training():
    pairs = [(pair.asked(), pair.given) for pair in RIGHT + WRONG]
    seconds = []
    for repeat in range(5):
        for question, text in pairs:
            start = time.perf_counter()
            match_answer(text + " " * repeat, question)  # a new text for a known question
            seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[len(seconds) // 2] < 200e-6  # 30 microseconds on an idle core


def test_an_answer_is_found_in_text_only_as_whole_words():
    question = ask("How much?", "$4,820", "4820 dollars")
    assert contains_answer("the total due is\n$4,820.", question)
    assert contains_answer("It was 4820  Dollars", question)
    assert not contains_answer("the total due is $4,8200", question)
    assert not contains_answer("see 5", ask("How many?", "5"))
