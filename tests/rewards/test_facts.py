"""Facts are read off the trajectory, and citations hold only when they were shown."""

from __future__ import annotations

import pytest

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from rewards.citations import supported_sources
from rewards.facts import derive_facts


def test_an_episode_is_told_in_facts(build):
    trajectory = build.play(
        build.search("a", listed=("<x>", "<copy>")), build.read("<copy>"), build.garbage(),
        answer="5 dollars", sources=("<copy>", "<x>"),
    )  # fmt: skip
    facts = derive_facts(trajectory, build.answerable)
    assert facts.is_answered
    assert facts.is_right is True
    assert (facts.gold_found, facts.gold_read, facts.gold_cited) == (True, True, True)
    assert not facts.gold_read_all
    assert (facts.num_turns, facts.num_searches, facts.num_invalid_calls, facts.num_sources) == (4, 1, 1, 2)
    assert not (facts.gave_up)
    assert not (facts.answered_wrong)
    assert not (facts.is_truncated)


def test_a_gold_mail_in_a_page_of_hits_is_found_but_not_read(build):
    facts = derive_facts(build.play(build.search("a", listed=("<gold>",))), build.answerable)
    assert (facts.gold_found, facts.gold_read) == (True, False)


def test_every_gold_mail_opened_is_read_all(build):
    facts = derive_facts(build.play(build.read("<gold>"), build.read("<copy>")), build.answerable)
    assert facts.gold_read_all


def test_abstention_is_right_or_wrong_by_the_question(build):
    right, wrong = (derive_facts(build.play(), question) for question in (build.unanswerable, build.answerable))
    assert (right.rightly_abstained, right.wrongly_abstained) == (True, False)
    assert (wrong.rightly_abstained, wrong.wrongly_abstained) == (False, True)


@pytest.mark.parametrize("stop", [StopReason.MAX_TURNS, StopReason.MAX_TOKENS, StopReason.DEADLINE])
def test_a_limit_is_truncation_and_no_answer(build, stop):
    facts = derive_facts(build.play(build.search("a"), stop=stop), build.answerable)
    assert facts.is_truncated
    assert not (facts.is_answered)
    assert not (facts.gave_up)
    assert not (facts.is_right)


def test_searches_that_differ_only_in_case_order_or_page_are_one(build):
    trajectory = build.play(
        build.search("Bob", "rent"), build.search("rent", "bob"), build.search("bob", "rent", page=2, order="newest"),
        build.search("bob"), build.search("bob", from_addr="x@y.z"), build.search("failed", is_error=True),
    )  # fmt: skip
    facts = derive_facts(trajectory, build.answerable)
    assert (facts.num_searches, facts.num_distinct_searches) == (6, 3)


def test_a_cited_mail_supports_the_answer_when_it_is_gold_and_was_shown(build):
    shown = build.play(build.search("a", listed=("<gold>",)), answer="$5", sources=("<gold>",))
    unseen = build.play(answer="$5", sources=("<gold>",))
    assert supported_sources(shown, build.answerable) == ("<gold>",)
    assert supported_sources(unseen, build.answerable) == ()


def test_another_mail_supports_the_answer_only_when_opened_and_holding_it(build):
    question = Question(id="q", inbox="i", question="How much?", answer="$4,820", message_ids=("<gold>",))
    listed = build.play(build.search("$4,820", listed=("<x>",)), answer="$4,820", sources=("<x>",))
    opened = build.play(build.read("<x>", "we pay $4,820 now"), answer="$4,820", sources=("<x>",))
    other = build.play(build.read("<x>", "we pay $4,280 now"), answer="$4,820", sources=("<x>",))
    assert [supported_sources(play, question) for play in (listed, opened, other)] == [(), ("<x>",), ()]
