"""Leaks of question files: each kind is found, and a file without leaks has none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from inbox_env.emails import Address, Email
from inbox_env.leak_report import measure_leaks
from inbox_env.leaks import find_leaks, without_leaks
from inbox_env.questions import Question
from inbox_env.store import EmailStore, build_inbox

ME, ANN = Address("Me", "me@example.org"), Address("Ann Lee", "ann@example.org")
BODY = "The second invoice of the Falcon project is due on Friday."


@pytest.fixture
def store(tmp_path: Path) -> EmailStore:
    for name in ("me", "you"):
        mails = [
            Email("<1@x>", datetime(2001, 5, 1, tzinfo=UTC), ANN, (ME,), "Lunch", "Lunch on Friday?"),
            Email("<2@x>", datetime(2001, 5, 2, tzinfo=UTC), ANN, (ME,), "Invoice", BODY),
        ]
        build_inbox(tmp_path / "my.db", name, mails, owner=ME)
    return EmailStore.open(tmp_path / "my.db")


def asked(identity: str, text: str = "By when must the bird bill be settled?", **changes: object) -> Question:
    row = {"inbox": "me", "answer": "Friday", "message_ids": ("<2@x>",), "asked_on": date(2001, 6, 1), "split": "train"}
    return Question.model_validate({"id": identity, "question": text} | row | changes)


def names(store: EmailStore, *questions: Question) -> list[tuple[str, str]]:
    return [(leak.question.id, leak.name) for leak in find_leaks(store, questions)]


def test_a_question_in_other_words_has_no_leak(store: EmailStore) -> None:
    assert names(store, asked("a")) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"question": "When is the Falcon invoice due?"}, "own_words"),
        ({"asked_on": date(2001, 5, 1)}, "too_early"),
        ({"message_ids": ("<9@x>",)}, "no_mail"),
    ],
)
def test_each_kind_of_leak_is_named(store: EmailStore, changes: dict[str, object], name: str) -> None:
    assert names(store, asked("a", **{"text": "By when must the bill be settled?"} | changes)) == [("a", name)]


def test_words_that_nearly_all_stand_in_the_mail_are_an_overlap(store: EmailStore) -> None:
    text = "second invoice Falcon project due Friday Ann Lee example org lunchtime"
    assert names(store, asked("a", text)) == [("a", "overlap")]


def test_the_same_question_twice_is_a_copy_whatever_its_case(store: EmailStore) -> None:
    assert names(store, asked("a"), asked("b", "by when must the BIRD bill be settled")) == [("b", "copy")]


def test_a_mail_or_question_of_another_split_is_named(store: EmailStore) -> None:
    other = asked("b", "What is owed for the bird?", inbox="you", split="test")
    questions = [asked("a"), other]
    assert names(store, *questions) == [("b", "split")]
    assert without_leaks(questions, find_leaks(store, questions)) == questions[:1]


def test_what_nothing_answers_gives_nothing_away(store: EmailStore) -> None:
    question = asked(
        "a", "When is the Falcon invoice due?", answer=None, message_ids=(), answerable=False, kind="unanswerable"
    )
    assert names(store, question) == []


def test_of_two_questions_with_one_name_only_the_leaky_one_is_left_out(store: EmailStore) -> None:
    questions = [asked("a", message_ids=("<9@x>",)), asked("a", "What is owed for the bird?")]
    assert without_leaks(questions, find_leaks(store, questions)) == questions[1:]


def test_the_share_of_words_that_the_mail_holds_is_measured(store: EmailStore) -> None:
    half = asked(
        "a", "Which Falcon invoice arrives tomorrow?"
    )  # which, falcon, invoice: arrives, tomorrow are not there
    report = measure_leaks(store, [half])
    assert report.median_overlap == 0.5
    assert "share of them that the mail holds: 50% (median)" in report.lines()
    report = measure_leaks(
        store, [asked("b", "Second invoice, Falcon project due?"), half, asked("c", "Any birds near the lake?")]
    )
    assert report.median_overlap == 0.5


def test_questions_without_labels_are_measured_too(store: EmailStore) -> None:
    question = asked("a", answer=None, message_ids=(), is_labelled=False)
    assert find_leaks(store, [question]) == []
    report = measure_leaks(store, [question])
    assert report.found_by_all_words is report.median_overlap is None
