"""Leaks of question files: each kind is found, and a file without leaks has none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ambiguity import said_days
from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.leak_fixes import mend
from inbox_env.leak_report import measure, measure_leaks
from inbox_env.leaks import find_leaks, inboxes_in_two_splits, without_leaks
from inbox_env.near_copies import NearCopies
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


def test_questions_without_labels_are_measured_too(store: EmailStore) -> None:
    question = asked("a", answer=None, message_ids=(), is_labelled=False)
    assert find_leaks(store, [question]) == []
    assert measure_leaks(store, [question]).found_by_all_words is None


def test_another_mail_that_holds_the_same_words_makes_a_question_ambiguous(store: EmailStore) -> None:
    lunch = asked("a", "When does Ann Lee want lunch with my cousin Eve?", message_ids=("<1@x>",))
    assert names(store, lunch) == []
    assert names(store, lunch.model_copy(update={"question": "Ann Lee of example, Eve?"})) == [("a", "ambiguous")]


@pytest.fixture
def talk(tmp_path: Path) -> EmailStore:
    """Ann writes of the storage lease in January and in May, Bob in May; what Ann wrote in May is quoted in June."""
    bob = Address("Bob Roe", "bob@example.org")
    lease = "The {} office says that the storage lease of the harbour needs a signature of the people there."
    rows = [(1, ANN, "dock"), (5, ANN, "crane"), (5, bob, "tower"), (6, ANN, "crane")]
    mails = [
        Email(f"<{n}@x>", datetime(2001, month, 10 + n, tzinfo=UTC), who, (ME,), f"Note {n}", lease.format(office))
        for n, (month, who, office) in enumerate(rows)
    ]
    build_inbox(tmp_path / "talk.db", "me", mails, owner=ME)
    return EmailStore.open(tmp_path / "talk.db")


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("What did Ann write about the storage lease?", (1, 4)),
        ("What did Ann write about the storage lease in May 2001?", (4,)),
        ("What did Ann write about the storage lease in the spring of 2001?", (4,)),
        ("What did Ann write about the crane lease?", ()),
        ("What did I read about the storage lease in May 2001?", (3, 4)),
        ("What about the silo rental contract of Ann?", None),
    ],
)
def test_others_are_of_that_sender_and_time_and_no_copies(
    talk: EmailStore, text: str, others: tuple[int, ...] | None
) -> None:
    inbox = Inbox(talk, "me")
    question = asked("a", text, message_ids=("<1@x>",), asked_on=date(2001, 12, 1))
    found = measure(inbox, question).others
    if others is None:
        assert found is None
    else:
        assert found is not None
        assert sorted(found) == [number for number in others if number != 4]  # which repeats the gold mail


def test_what_says_when_is_read_as_generously_as_it_is_meant() -> None:
    day = date(2001, 12, 1)
    for text in ("in May 2001", "around May 2001", "in the spring of 2001", "about 7 months ago"):
        first, last = said_days(f"What did Ann write {text}?", day)
        assert first is not None
        assert last is not None
        assert first <= date(2001, 5, 5) <= last
        assert not first <= date(2000, 5, 5) <= last
    assert said_days("What may Ann write in spring?", day) == (None, None)


@pytest.mark.parametrize(
    ("text", "name", "what"),
    [
        ("What does Ann say of the invoice of Falcon?", "own_words", '"bill" for "invoice"'),
        ("second invoice Falcon project due Friday Ann Lee example org lunchtime", "overlap", '"bill" for "invoice"'),
    ],
)
def test_a_small_change_mends_what_the_words_give_away(store: EmailStore, text: str, name: str, what: str) -> None:
    question = asked("a", text)
    leaks = find_leaks(store, [question])
    assert [leak.name for leak in leaks] == [name]
    fix = mend(Inbox(store, "me"), question, leaks)
    assert fix is not None
    assert (fix.what, fix.before) == (what, question)
    assert find_leaks(store, [fix.after]) == []
    assert fix.after.model_copy(update={"question": text}) == question


def test_a_rough_time_mends_what_fits_two_mails(talk: EmailStore) -> None:
    question = asked("a", "What did Ann say about the storage lease of my cousin?", message_ids=("<0@x>",))
    question = question.model_copy(update={"asked_on": date(2001, 12, 1)})
    leaks = find_leaks(talk, [question])
    assert [leak.name for leak in leaks] == ["ambiguous"]
    fix = mend(Inbox(talk, "me"), question, leaks)
    assert fix is not None
    assert fix.after.question == "What did Ann say about the storage lease of my cousin around January 2001?"


def test_what_no_small_change_mends_is_left(store: EmailStore) -> None:
    for changes in ({"message_ids": ("<9@x>",)}, {"asked_on": date(2001, 5, 1)}):
        question = asked("a", **changes)
        assert mend(Inbox(store, "me"), question, find_leaks(store, [question])) is None
    question = asked("a", "Falcon Friday?")
    assert mend(Inbox(store, "me"), question, find_leaks(store, [question])) is None


def test_near_copies_of_another_split_are_named(store: EmailStore) -> None:
    text = "By when must the bird bill of Zoe's Polish cousin {}be settled in Krakow?"
    elsewhere = {"split": "test", "inbox": "you", "message_ids": ("<1@x>",)}
    near, far = asked("b", text.format("finally "), **elsewhere), asked("c", "When do the gates close?", **elsewhere)
    assert [leak.name for leak in find_leaks(store, [asked("a", text.format(""))], against=[near])] == ["split"]
    assert find_leaks(store, [asked("a", text.format(""))], against=[far]) == []


def test_of_an_inbox_that_is_elsewhere_only_the_questions_are_compared(store: EmailStore) -> None:
    there = asked("b", split="test", inbox="elsewhere")
    assert [leak.name for leak in find_leaks(store, [asked("a")], against=[there])] == ["split"]
    assert find_leaks(store, [asked("a")], against=[there.model_copy(update={"question": "Who?"})]) == []


def test_an_inbox_in_two_splits_is_warned_of_once() -> None:
    questions = [asked("a"), asked("b", split="test"), asked("c", split="test", inbox="you")]
    (line,) = inboxes_in_two_splits(questions)
    assert line.startswith("inbox me stands in train and test")
    assert inboxes_in_two_splits(questions[1:]) == []


@given(st.lists(st.integers(0, 400), min_size=20, max_size=80, unique=True), st.integers(0, 2**32))
def test_near_copies_are_found_and_strangers_are_not(numbers: list[int], seed: int) -> None:
    members = [f"w{number}" for number in numbers]
    near, random = NearCopies(), Random(seed)
    near.add("first", members)
    assert near.add("same", random.sample(members, len(members))) == ["first"]
    assert near.add("stranger", [f"x{number}" for number in numbers]) == []
    assert near.add("half", members[: len(members) // 2]) == []
