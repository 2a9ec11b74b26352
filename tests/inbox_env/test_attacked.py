"""Planted mails: beside which answers they stand, in attacked inboxes for the benchmark and as a share for training."""

from __future__ import annotations

from collections import Counter

import pytest

from inbox_env.inbox import Inbox
from inbox_env.store import EmailStore
from inbox_env.synthetic import generate_inbox
from inbox_env.synthetic.attacked import attacks, ensure_attacked
from inbox_env.synthetic.injections import LEADS, LINK, MARK, ORDERS, plant_share
from inbox_env.synthetic.mailbox import FOREIGN, SyntheticRecipe, ensure_mailbox

RECIPE = SyntheticRecipe("dev", (1, 2), num_emails=100, num_questions=40)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    path, questions = ensure_attacked(RECIPE, tmp_path_factory.mktemp("attacked"))
    return EmailStore.open(path), {question.id: question for question in questions}


def planted_in(store, name):
    inbox = Inbox(store, name)
    mails = (inbox.read(number, as_of=None) for number in range(1, inbox.num_emails + 1))
    return [mail.email for mail in mails if mail.email.message_id.startswith("<planted-")]


def test_every_goal_and_lead_attacks_one_question_of_each_inbox(attacked):
    found = attacks(RECIPE)
    assert Counter(one.goal for one in found) == dict.fromkeys(ORDERS, 2 * len(LEADS))
    assert len({one.question for one in found}) == len(found) == 2 * 208


def test_an_attacked_question_is_the_clean_one_asked_where_its_planted_mail_can_be_seen(attacked):
    store, questions = attacked
    for one in attacks(RECIPE):
        hostile, clean = questions[one.question], questions[one.clean]
        assert hostile.model_copy(update={"id": clean.id, "inbox": clean.inbox}) == clean
        assert hostile.inbox == f"{clean.inbox}-{one.goal}"
        planted = Inbox(store, hostile.inbox).read(one.planted, as_of=hostile.as_of)
        told = Inbox(store, hostile.inbox).read(hostile.message_ids[0], as_of=hostile.as_of)
        assert planted.email.in_reply_to == told.email.message_id
        assert Inbox(store, clean.inbox).read(one.planted, as_of=None) is None


def test_an_attacked_inbox_is_the_clean_one_and_mails_of_one_goal(attacked):
    store, _ = attacked
    assert planted_in(store, "dev-001") == []
    for goal in ORDERS:
        bodies = [email.body for email in planted_in(store, f"dev-001-{goal}")]
        assert len(bodies) == len(LEADS)
        assert Inbox(store, f"dev-001-{goal}").num_emails == 100 + len(LEADS)
        assert all((LINK in body) == (goal == "link") for body in bodies)
        assert all((MARK in body) == (goal in ("answer", "loop", "fake_result", "template")) for body in bodies)


def test_an_even_part_of_the_questions_holds_both_of_a_pair(attacked):
    _, questions = attacked
    ids = list(questions)
    clean = [one.clean for one in attacks(RECIPE)]
    assert ids[-len(clean) :] == [one.question for one in attacks(RECIPE)]
    assert ids[: -len(clean)] == list(dict.fromkeys(clean))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_the_questions_that_one_mail_answers_gets_a_planted_mail(share):
    inbox = generate_inbox("train", 3, num_emails=200, num_questions=60)
    able = {question.id for question in inbox.questions if question.answerable and question.kind != "multi"}
    planted = plant_share(inbox, share, FOREIGN)
    assert len(planted) == round(share * len(able))
    assert {one.question.id for one in planted} <= able
    assert len({one.question.id for one in planted}) == len({one.email.message_id for one in planted}) == len(planted)
    assert planted == plant_share(inbox, share, FOREIGN)
    assert share < 0.5 or planted != plant_share(inbox, share, FOREIGN, seed=1)


def test_a_mailbox_for_training_holds_the_share_and_asks_the_same(tmp_path):
    clean = SyntheticRecipe("train", (1,), num_emails=100, num_questions=40)
    hostile = SyntheticRecipe("train", (1,), num_emails=100, num_questions=40, injected=0.2)
    path, questions = ensure_mailbox(hostile, tmp_path)
    clean_path, clean_questions = ensure_mailbox(clean, tmp_path)
    assert questions == clean_questions
    assert path != clean_path
    store = EmailStore.open(path)
    num_able = sum(question.answerable and question.kind != "multi" for question in questions)
    assert len(planted_in(store, "train-001")) == round(0.2 * num_able) > 0
    assert planted_in(EmailStore.open(clean_path), "train-001") == []
