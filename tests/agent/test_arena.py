"""Arenas: questions only of inboxes that are there, and gold mails that can be found."""

from __future__ import annotations

import pytest

from agent.arena import Arena
from inbox_env.emails import Address, Email
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.questions import Question
from inbox_env.store import build_inbox

OWNER = Address("Me", "me@x.org")


def email(name, body="The room is B2.", **more):
    return Email(f"<{name}@x.org>", None, Address("Ada", "ada@x.org"), (OWNER,), "Room", body, **more)


def ask(name="q", inbox="me", gold=("<kept@x.org>",)):
    return Question(id=name, inbox=inbox, question="Which room?", answer="B2", message_ids=gold)


@pytest.fixture
def mailbox(tmp_path):
    kept = email("kept", aliases=("<copy@x.org>",))
    build_inbox(tmp_path / "m.db", "me", [kept, email("other", "Lunch?")], owner=OWNER)
    build_inbox(tmp_path / "m.db", "you", [email("yours", "Mine.")], owner=OWNER)
    return tmp_path / "m.db"


def test_gold_ids_of_folded_copies_become_the_mail_that_was_kept(mailbox):
    arena = Arena.open(
        mailbox, [ask("copy", gold=("<copy@x.org>",)), ask("both", gold=("<copy@x.org>", "<kept@x.org>"))], EnvLimits()
    )
    assert [question.message_ids for question in arena.questions] == [("<kept@x.org>",)] * 2
    assert [arena.gold[name] for name in ("copy", "both")] == list(arena.questions)


def test_gold_mail_that_is_not_there_stays_as_it_is_written(mailbox):
    arena = Arena.open(mailbox, [ask(gold=("<lost@x.org>",))], EnvLimits())
    assert arena.questions[0].message_ids == ("<lost@x.org>",)


def test_a_question_of_an_inbox_that_is_not_there_is_refused(mailbox):
    with pytest.raises(UsageError, match="nobody"):
        Arena.open(mailbox, [ask(inbox="nobody")], EnvLimits())
    arena = Arena.open(mailbox, [ask()], EnvLimits())
    with pytest.raises(UsageError, match="no mail for the questions on inbox 'you'"):
        Arena({"me": arena.inbox("me")}, [ask(inbox="you")], EnvLimits())


def test_two_questions_of_one_name_are_refused(mailbox):
    with pytest.raises(UsageError, match="two questions are called 'q'"):
        Arena.open(mailbox, [ask(), ask(inbox="you", gold=("<yours@x.org>",))], EnvLimits())


def test_environments_are_fresh_and_keep_to_their_inbox(mailbox):
    arena = Arena.open(mailbox, [ask("a"), ask("b", "you", ("<yours@x.org>",))], EnvLimits(max_turns=4))
    first, second = arena.envs()
    assert (first.question.id, second.question.id) == ("a", "b")
    assert arena.env(arena.questions[0]) is not first
    assert [env.question.id for env in arena.envs(reversed(arena.questions))] == ["b", "a"]
    with pytest.raises(KeyError):
        arena.inbox("nobody")


def test_other_limits_are_the_only_difference(arena):
    other = arena.with_limits(EnvLimits(max_turns=1))
    assert other.questions == arena.questions
    assert other.gold == arena.gold
    assert [env.limits.max_turns for env in other.envs(arena.questions[:1])] == [1]
    assert arena.limits.max_turns != 1
