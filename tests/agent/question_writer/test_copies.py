"""Copies: the same fact or nearly the same words, in the same inbox."""

from __future__ import annotations

from agent.question_writer.copies import Asked
from inbox_env.questions import Question


def question(text, answer="Friday", ids=("<1@x>",), inbox="me"):
    return Question(
        id="q", inbox=inbox, question=text, answer=answer, message_ids=ids if answer else (),
        answerable=answer is not None, kind="single" if answer else "unanswerable",
    )  # fmt: skip


def is_copy(first, second):
    asked = Asked()
    assert asked.earlier(first) is None
    asked.add(first)
    return asked.earlier(second) is not None


ONE = question("When does Ann bring the lawn mower back?")


def test_the_same_answer_of_the_same_mail_is_a_copy():
    assert is_copy(ONE, question("By what day do we have our machine again?", answer=" friday"))
    assert not is_copy(ONE, question("By what day do we have our machine again?", ids=("<2@x>",)))
    assert not is_copy(ONE, question("Who has our machine now, then?", answer="Ann"))


def test_nearly_the_same_words_are_a_copy_whatever_the_answer():
    assert is_copy(ONE, question("When will Ann bring the lawn mowers back to me?", answer="Monday", ids=("<2@x>",)))
    assert is_copy(ONE, question("When does Ann bring back the lawn mower?", answer=None))
    assert not is_copy(ONE, question("When does Bob bring the pizza oven?", answer="Monday", ids=("<2@x>",)))


def test_another_inbox_may_ask_the_same():
    assert not is_copy(ONE, ONE.model_copy(update={"inbox": "you"}))


def test_unanswerable_questions_are_copies_by_their_words_alone():
    assert not is_copy(question("Which flight does Eva take?", None), question("What did Bob pay for it?", None))
