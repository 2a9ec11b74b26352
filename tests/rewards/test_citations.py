"""The words of a mail that support an answer."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from rewards.citations import MAX_QUOTE_CHARS, supporting_quote

BODY = "Hi Ann,\nthe dinner moves to Cafe\nMilano. The budget stays at $4,820 for all.\nSee you there!\nBo"


def test_an_answer_that_stands_in_the_mail_is_quoted_from_it_whatever_the_line_breaks_and_case():
    assert supporting_quote(BODY, ["cafe milano"], "Where is dinner?") == "Cafe\nMilano"


def test_an_accepted_form_that_stands_there_goes_before_any_sentence():
    assert supporting_quote(BODY, ["4820 dollars", "$4,820"], "What is the budget?") == "$4,820"


def test_else_the_sentence_with_most_words_of_answer_and_question_is_quoted():
    assert (
        supporting_quote(BODY, ["4820 for all of us"], "What is the budget?") == "The budget stays at $4,820 for all."
    )


def test_a_mail_that_shares_less_than_two_words_supports_nothing():
    assert supporting_quote(BODY, ["Rome"], "Who flew home?") == ""


@given(st.text(max_size=200), st.text(max_size=30))
def test_a_quote_stands_in_the_mail_and_is_short(body, answer):
    quote = supporting_quote(body, [answer], "")
    assert quote in body
    assert len(quote) <= MAX_QUOTE_CHARS


def test_a_very_long_mail_is_looked_at_in_bounded_time():
    start = time.process_time()
    supporting_quote("no end in sight " * 1_000_000, ["x y z"], "What?")
    assert time.process_time() - start < 2
