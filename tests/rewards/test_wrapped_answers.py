"""Right and nearly right answers to real questions as models frame them, and the rates that EXPERIMENTS.md reports."""

from __future__ import annotations

from collections import Counter

import pytest

from inbox_env.questions import Question
from rewards.answers import match_answer
from tests.rewards.answer_cases import FRAMES, forms_of, read_pairs, real_near_misses, real_questions

MAX_UNDECIDED = 0.1
STRIDE = 37  # of the near misses in each frame; those without a frame are all tried in test_answers.py


def verdicts_in(frame: str, questions: list[Question]) -> tuple[Counter[bool | None], Counter[bool | None]]:
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
