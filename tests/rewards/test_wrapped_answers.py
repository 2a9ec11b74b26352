"""Right and nearly right answers to real questions as models frame them, and the rates that EXPERIMENTS.md reports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest

from inbox_env.questions import Question
from rewards.answers import match_answer
from tests.rewards.answer_cases import FRAMES, forms_of, read_pairs, real_near_misses, real_questions

MAX_UNDECIDED = 0.1
DENYING = (  # {0} is a right answer and {1} a near miss: whoever says so means the near miss, or nothing
    "{0} is wrong|not {0} but {1}|{1}, not {0}|{1} rather than {0}|{1} instead of {0}|It isn't {0}, it's {1}.|{0}? No."
    "|{0}, later changed to {1}|{1} (it was {0} before)|{1}, formerly {0}|{0} or {1}|Nobody said {0}|less than {0}"
).split("|")
AFFIRMING = (  # the other way round
    "{0}, not {1}|not {1} but {0}|{0} rather than {1}|{1}, later changed to {0}|{0}, formerly {1}"
    "|It isn't {1}, it's {0}."
).split("|")
STRIDE = 37  # of the near misses in each frame; those without a frame are all tried in test_answers.py


def verdicts_in(frame: str, questions: Sequence[Question]) -> tuple[Counter[bool | None], Counter[bool | None]]:
    """Verdicts on right answers and on near misses in this frame."""
    right: Counter[bool | None] = Counter()
    wrong: Counter[bool | None] = Counter()
    for question in questions:
        right.update(match_answer(frame.format(form), question) for form in forms_of(question))
        wrong.update(match_answer(frame.format(text), question) for text in real_near_misses(question)[::STRIDE])
    return right, wrong


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_makes_no_answer_right_or_wrong(shared_data, frame):
    right, wrong = verdicts_in(frame, real_questions(shared_data))
    undecided = (f"{verdicts[None] / verdicts.total():.1%}" for verdicts in (right, wrong))
    print("|", " | ".join((frame, *undecided)), "|")
    assert wrong[True] == 0
    assert right[False] == 0
    assert right[None] <= MAX_UNDECIDED * right.total()
    assert wrong[None] <= MAX_UNDECIDED * wrong.total()
    assert right.total() > 400
    assert wrong.total() > 300


def test_the_day_in_a_frame_is_no_answer(shared_data):
    frames = ("{} (e-mail of {})", "According to his mail of {1}, it was {0}.", "{}, as she wrote on {}")
    num_tried = 0
    for question in real_questions(shared_data):
        for gold in forms_of(question):
            for frame in frames:
                num_tried += 1
                assert match_answer(frame.format("something else", gold), question) is not True, (frame, gold)
    assert num_tried > 1_000


def test_pairs_that_the_matcher_was_not_made_on():
    right, wrong = (
        Counter(match_answer(pair.given, pair.asked()) for pair in read_pairs("answer_pairs_held_out.txt", sign))
        for sign in "+-"
    )
    assert min(right.total(), wrong.total()) >= 60
    assert right[False] == wrong[True] == 0
    assert right[None] <= MAX_UNDECIDED * right.total()


@pytest.mark.parametrize("frame", DENYING)
def test_no_right_answer_counts_that_is_denied_replaced_or_doubted(shared_data, frame):
    num_tried = 0
    for question in real_questions(shared_data):
        for miss in plain_near_misses(question):
            for gold in forms_of(question):
                num_tried += 1
                assert match_answer(frame.format(gold, miss), question) is not True, frame.format(gold, miss)
    assert num_tried > 700


@pytest.mark.parametrize("frame", AFFIRMING)
def test_a_right_answer_mostly_counts_when_another_one_is_denied_or_replaced(shared_data, frame):
    verdicts = Counter(
        match_answer(frame.format(question.answer, miss), question)
        for question in real_questions(shared_data)
        for miss in plain_near_misses(question)
    )
    assert verdicts[True] > 0.6 * verdicts.total()
    assert verdicts[False] < 0.06 * verdicts.total()


@cache
def plain_near_misses(question: Question) -> list[str]:
    """Two near misses that are not themselves denials, and that nobody could call right."""
    misses = (miss for miss in real_near_misses(question)[::29] if not re.search("not |never", miss))
    return [miss for miss in misses if match_answer(miss, question) is not True][:2]
