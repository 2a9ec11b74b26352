"""InboxEnv: one episode, its limits and how it ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from inbox_env.actions import Action, FinalAnswer, InvalidToolCall, Observation, Opening, StopReason, ToolCall
from inbox_env.emails import Address, Email
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.rendering import ResultStyle
from inbox_env.store import build_inbox

ME = Address("Me", "me@x.org")
START = datetime(2001, 5, 1, 12, tzinfo=UTC)
QUESTION = Question(
    id="q1", inbox="me", question="How much?", answer="40", message_ids=("<0@x>",), asked_on=date(2001, 5, 2)
)
SEARCH = ToolCall("search_emails", {"keywords": ["budget"]})
READ = ToolCall("read_email", {"id": 1})
WRONG = ToolCall("read_email", {"id": 99})
ANSWER = ToolCall("return_final_answer", {"answer": "40", "sources": [1]})


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    path = tmp_path_factory.mktemp("mail") / "m.db"
    mails = [Email(f"<{n}@x>", START + timedelta(days=n), ME, (), "Budget", f"{40 + n} dollars") for n in range(3)]
    build_inbox(path, "me", mails, owner=ME)
    return Inbox.open(path, "me")


def new_env(inbox: Inbox, question: Question = QUESTION, **limits: Any) -> InboxEnv:
    return InboxEnv(inbox, question, EnvLimits(**limits))


def play(env: InboxEnv, *calls: ToolCall | InvalidToolCall) -> Observation:
    return env.step(Action(calls))


def test_the_opening_holds_the_question_and_no_answer(inbox: Inbox) -> None:
    assert new_env(inbox).opening() == Opening("q1", "How much?", "Me <me@x.org>", date(2001, 5, 2))


def test_calls_of_one_turn_are_executed_in_order(inbox: Inbox) -> None:
    env = new_env(inbox)
    observation = play(env, SEARCH, READ, WRONG, SEARCH)
    assert [result.name for result in observation.results] == [
        "search_emails",
        "read_email",
        "read_email",
        "search_emails",
    ]
    assert [result.is_error for result in observation.results] == [False, False, True, False]
    assert observation.stop_reason is None
    assert (env.num_turns, env.num_invalid_calls) == (1, 1)


def test_an_answer_ends_the_episode_and_what_follows_is_not_executed(inbox: Inbox) -> None:
    env = new_env(inbox)
    observation = play(env, READ, ANSWER, SEARCH)
    assert [result.name for result in observation.results] == ["read_email", "return_final_answer"]
    assert observation.results[-1].content == "accepted"
    assert observation.stop_reason is StopReason.ANSWERED
    assert env.final == FinalAnswer("40", ("<0@x>",))


def test_null_gives_up(inbox: Inbox) -> None:
    env = new_env(inbox)
    observation = play(env, ToolCall("return_final_answer", {"answer": None, "sources": []}))
    assert observation.stop_reason is StopReason.GAVE_UP
    assert env.final == FinalAnswer(None)


def test_a_malformed_answer_does_not_end_the_episode(inbox: Inbox) -> None:
    env = new_env(inbox)
    assert play(env, ToolCall("return_final_answer", {"answer": "40"})).stop_reason is None
    assert env.final is None


def test_an_episode_is_played_once(inbox: Inbox) -> None:
    env = new_env(inbox)
    play(env, ANSWER)
    with pytest.raises(RuntimeError, match="over"):
        play(env, SEARCH)
    assert env.final == FinalAnswer("40", ("<0@x>",))


def test_turns_run_out(inbox: Inbox) -> None:
    env = new_env(inbox, max_turns=3)
    assert [play(env, SEARCH).stop_reason for _ in range(3)] == [None, None, StopReason.MAX_TURNS]
    assert env.final is None
    with pytest.raises(RuntimeError):
        play(env, ANSWER)


def test_an_answer_in_the_last_turn_counts(inbox: Inbox) -> None:
    env = new_env(inbox, max_turns=1)
    assert play(env, ANSWER).stop_reason is StopReason.ANSWERED


def test_invalid_calls_of_every_kind_end_the_episode(inbox: Inbox) -> None:
    env = new_env(inbox, max_invalid_calls=4)
    unreadable = InvalidToolCall("{oops", "arguments: one JSON object")
    assert play(env, unreadable, SEARCH).results[0].content == "error: arguments: one JSON object"
    assert play(env).results[0].content == "error: no tool call found"
    observation = play(env, ToolCall("delete_email", {}), WRONG, SEARCH)
    assert observation.stop_reason is StopReason.INVALID_CALLS
    assert len(observation.results) == 2


def test_as_of_is_the_question_s_day(inbox: Inbox) -> None:
    assert play(new_env(inbox), SEARCH).results[0].listed == ("<1@x>", "<0@x>")
    undated = QUESTION.model_copy(update={"asked_on": None})
    assert len(play(new_env(inbox, undated), SEARCH).results[0].listed) == 3


def test_a_question_of_another_inbox_is_refused(inbox: Inbox) -> None:
    with pytest.raises(ValueError, match="'you'"):
        new_env(inbox, QUESTION.model_copy(update={"inbox": "you"}))


def test_limits_shape_results_and_are_checked(inbox: Inbox) -> None:
    env = new_env(inbox, style={"hits_per_page": 1, "snippet_chars": 0})
    assert play(env, SEARCH).results[0].content == "2 found, page 1 of 2\n2 2001-05-02 Me: Budget"
    assert EnvLimits(style=ResultStyle(page_chars=50)).style.page_chars == 50
    for wrong in ({"max_turns": 0}, {"max_invalid_calls": 0}, {"style": {"page_chars": 0}}, {"turns": 3}):
        with pytest.raises(ValidationError):
            EnvLimits(**wrong)


def test_match_any_is_a_limit_of_the_environment(inbox: Inbox) -> None:
    search = ToolCall("search_emails", {"keywords": ["40", "zebra"]})
    assert play(new_env(inbox), search).results[0].content.startswith("0 found")
    assert play(new_env(inbox, match="any"), search).results[0].content.startswith("1 found")
