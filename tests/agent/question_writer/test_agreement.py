"""Agreement: one answer may say more than the other, but not another thing; either is right afterwards."""

from __future__ import annotations

import pytest

from agent.question_writer.agreement import agreed
from inbox_env.questions import Question
from rewards.answers import match_answer

EVIDENCE = "The party is at the Villa Rosa near Siena on 12 May, not in the old town, with Ann and Bob from Oslo."


def question(answer, text="Where will they celebrate?"):
    return Question(id="q", inbox="me", question=text, answer=answer, message_ids=("<1@x>",), evidence=EVIDENCE)


@pytest.mark.parametrize(
    ("answer", "said", "kept"),
    [
        ("Villa Rosa", "the Villa Rosa", "Villa Rosa"),  # the matcher knows
        ("12 May", "May 12", "12 May"),
        ("Villa Rosa", "the Villa Rosa near Siena", "Villa Rosa"),
        ("Villa Rosa near Siena", "Villa Rosa", "Villa Rosa"),
        ("the old blue bicycle", "a blue bicycle", "a blue bicycle"),
    ],
)
def test_the_same_answer_said_shorter_or_longer_agrees_and_both_are_right(answer, said, kept):
    found = agreed(question(answer), said)
    assert found is not None
    assert found.answer == kept
    assert match_answer(answer, found) is True
    assert match_answer(said, found) is True


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Villa Rosa", "Villa Verde"),
        ("Villa Rosa", "the Villa Rosa near Rome"),  # the mail does not say so
        ("Villa Rosa near Siena", "Siena"),
        ("Ann and Bob", "Ann"),
        ("12 May", "13 May"),
        ("the villa on 12 May", "the villa"),
        ("in the old town", "not in the old town"),
        ("not in the old town", "in the old town"),
        ("Villa Rosa", "Villa Rosa or Siena"),
        ("Villa Rosa", "?"),
    ],
)
def test_another_answer_does_not_agree(answer, said):
    assert agreed(question(answer), said) is None


def test_a_first_name_is_not_a_person():
    assert agreed(question("Ann Lee", "Who comes to the party?"), "Ann") is None
