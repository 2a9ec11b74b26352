from __future__ import annotations

from inbox_env.questions import Question, spread_evenly


def asked(number: int) -> Question:
    return Question(id=str(number), inbox="a", question="?", answerable=False, kind="unanswerable")


def test_questions_are_taken_from_the_whole_file_in_its_order() -> None:
    questions = [asked(number) for number in range(500)]
    some = [int(question.id) for question in spread_evenly(questions, 300)]
    assert len(some) == 300
    assert some == sorted(set(some))
    assert all(sum(part <= number < part + 100 for number in some) == 60 for part in range(0, 500, 100))


def test_fewer_questions_than_asked_for_are_all_taken() -> None:
    questions = [asked(number) for number in range(3)]
    assert spread_evenly(questions, 9) == questions
    assert spread_evenly([], 9) == []
