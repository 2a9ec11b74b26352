"""Answers that can be checked by their text: found only where a mail holds just one, and matched in every form."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from inbox_env.emails import Address, Attachment, Email
from inbox_env.inbox import Inbox
from inbox_env.known_items.checks import Draft, is_value_absent
from inbox_env.known_items.generate import KnownItems, generate_known_items
from inbox_env.known_items.pairs import ask_pairs
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.values import may_hold, only_values
from inbox_env.known_items.wording import When
from inbox_env.questions import Question
from inbox_env.store import EmailStore, build_inbox
from inbox_env.synthetic.generate import generate_inbox
from rewards.answers import match_answer

ME, ANN = Address("Me Myself", "me@corp.example"), Address("Ann Lee", "ann@corp.example")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Lunch costs $45.50 a head.", ["$45.50"]),
        ("It is $4,820.", ["$4,820"]),
        ("They have 5,000 dollars.", ["5,000 dollars"]),
        ("We raised $14.8 million.", ["$14.8 million"]),
        ("Call 713-555-0142, please.", ["713-555-0142"]),
        (
            "On July 6, 2001 at 3:30 p.m. in conference room 2710.",
            ["July 6, 2001", "3:30 p.m.", "conference room 2710"],
        ),
        ("We stay at the Four Seasons Hotel.", ["Four Seasons Hotel"]),
        ("He lives at 12 Long Acre Street.", ["12 Long Acre Street"]),
    ],
)
def test_a_value_that_stands_alone_is_found_as_it_is_written(text: str, found: list[str]) -> None:
    assert [value.text for value in only_values(text, text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "We pay $3 to $5.",
        "It went from $3 to 5 cents.",
        "A price of $3.45/MMBtu.",
        "A loss of (-$500) it was.",
        "From 3 to 5 pm.",
        "At 3:30 pm, not 4:15.",
        "July 6-8 suits me.",
        "July 6 or the 9th?",
        "It is on 7/6.",
        "I may go to the hotel.",
        "Call 713-555-0142 or x31234.",
        "Fax it to 713-555-0142.",
        "Call 555-0142.",
        "The Hotel is full.",
        "Rooms 2710 or 2711, in room 2712.",
    ],
)
def test_where_two_could_be_meant_or_none_is_whole_there_is_no_value(text: str) -> None:
    assert only_values(text, text) == []


def test_a_rival_outside_of_the_own_text_counts_too() -> None:
    assert only_values("It is $40.", "Prices from $30\nIt is $40.") == []


def test_what_may_hold_a_value_is_judged_generously() -> None:
    assert may_hold("amount", "about 40 or so")
    assert may_hold("hotel", "the hotels nearby")
    assert not may_hold("phone number", "call me")
    assert not may_hold("hotel", "we sleep at home")


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> KnownItems:
    path = tmp_path_factory.mktemp("known") / "my.db"
    invented = generate_inbox("dev", 1, num_emails=400, num_questions=1)
    build_inbox(path, "me", invented.emails, owner=invented.owner)
    return KnownItems(EmailStore.open(path), "me")


@pytest.fixture(scope="module")
def questions(items: KnownItems) -> list[Question]:
    return generate_known_items(items, [], 100, seed=2, is_checkable=True)


def test_every_checkable_answer_stands_in_its_mail_and_matches_in_every_form(
    items: KnownItems, questions: list[Question]
) -> None:
    answered = [one for one in questions if one.answerable]
    assert {one.answer_type for one in answered} >= {"amount", "time", "sender"}
    for question in answered:
        assert question.answer is not None
        stored = items.inbox.read(question.message_ids[0], as_of=question.as_of)
        assert stored is not None
        text = f"{stored.email.sender.name} {stored.email.body}"
        assert question.answer in text
        assert question.answer not in question.question or question.kind == "multi"
        for form in (question.answer, *question.accepted):
            assert match_answer(form, question) is True, (question, form)
        if question.answer_type not in ("", "sender"):
            assert question.evidence is not None
            assert question.answer in question.evidence


def test_another_value_of_the_type_is_not_right(questions: list[Question]) -> None:
    wrong = {"amount": "$4,280", "phone": "713-555-0124", "date": "July 9", "time": "2:30 pm", "place": "Grand Hotel"}
    for question in questions:
        if question.answer_type in wrong:
            assert match_answer(wrong[question.answer_type], question) is not True


def test_a_question_of_two_mails_names_both_as_gold_and_the_earlier_sender_as_first(
    items: KnownItems, questions: list[Question]
) -> None:
    pairs = [one for one in questions if one.kind == "multi"]
    assert pairs
    for question in pairs:
        found = [items.inbox.read(one, as_of=question.as_of) for one in question.message_ids]
        dates = {stored.email.sender.name: stored.email.date for stored in reversed(found) if stored is not None}
        assert len(dates) == 2, question
        assert question.answer in dates
        assert all(name in question.question for name in dates)
        assert dates[question.answer] == min(date for date in dates.values() if date is not None)


def test_without_the_wish_for_checkable_answers_most_questions_are_for_find_mode(items: KnownItems) -> None:
    questions = generate_known_items(items, [], 60, seed=2)
    types = [one.answer_type for one in questions if one.answerable]
    assert types.count("mail") > len(types) / 2
    assert len(set(types)) > 2
    assert {one.answer_type for one in questions if not one.answerable} == {""}


def mail(number: int, body: str, subject: str = "Harbour lease") -> Email:
    sent = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Email(f"<{number}@x>", sent, ANN, (ME,), subject, body)


def test_a_number_in_a_signature_or_one_that_its_sender_keeps_giving_is_not_asked_for(tmp_path: Path) -> None:
    said = "We talked about the harbour lease with the people from the port, who want it signed this week."
    bodies = [
        f"{said} Their office is at 713-555-0142, so call there first.",
        f"{said} Round two.\n\nAnn Lee\nPort Company\n713-555-0199",
        *(
            f"{said} Round {number}. As always you reach me at 713-555-0177 here."
            for number in "three four five".split()
        ),
    ]
    build_inbox(tmp_path / "my.db", "me", [mail(number, body) for number, body in enumerate(bodies)], owner=ME)
    items = KnownItems(EmailStore.open(tmp_path / "my.db"), "me")
    found = {one.email.message_id: [answer.text for answer in items.values(one)] for one in items.mails}
    assert found == {"<0@x>": ["713-555-0142"]} | {f"<{number}@x>": [] for number in range(1, 5)}


def test_quoted_text_that_was_not_recognised_gives_no_value(tmp_path: Path) -> None:
    body = "See what he wrote about the harbour lease the other day.\n\nFrom: Bob\nSubject: Lease\nIt costs $40 in all."
    build_inbox(tmp_path / "my.db", "me", [mail(1, body)], owner=ME)
    items = KnownItems(EmailStore.open(tmp_path / "my.db"), "me")
    assert [items.values(one) for one in items.mails] == [[]]


def test_a_value_that_is_asked_for_in_vain_is_in_none_of_the_mails(tmp_path: Path) -> None:
    bodies = ["The harbour lease is signed.", "The ferry lease costs 40 in all.", "The crane lease has an attachment."]
    mails = [mail(number, body, "Lease") for number, body in enumerate(bodies)]
    mails[2] = replace(mails[2], attachments=(Attachment("offer.pdf", "application/pdf", 10),))
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    inbox = Inbox.open(tmp_path / "my.db", "me")

    def is_absent(word: str) -> bool:
        topic = Topic(f"the {word} lease", (word, "lease"), 1.0)
        draft = Draft("Ann", "Ann", "Ann Lee", (topic,), (topic.text,), When(""), date(2001, 5, 1), False)
        return is_value_absent(inbox, draft, "amount")

    assert [is_absent(word) for word in ("harbour", "ferry", "crane")] == [True, False, False]


def test_a_mail_and_the_answer_to_it_are_asked_for_together(tmp_path: Path) -> None:
    told = "The harbour lease is ready, and the port wants it back before the crane arrives, says Bob."
    answer = "I read the harbour lease and shall sign it when the crane is there, please tell the port so."
    calm = [mail(20 * n, f"Nothing {n} of note here, all is calm and quiet.", f"Note {n}") for n in range(2, 9)]
    mails = [mail(1, told), *calm]
    sent = datetime(2001, 1, 5, tzinfo=UTC)
    mails.append(Email("<re@x>", sent, ME, (ANN,), "Re: Harbour lease", answer, in_reply_to="<1@x>"))
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    items = KnownItems(EmailStore.open(tmp_path / "my.db"), "me")
    asked = [question for seed in range(20) for question in ask_pairs(items, Random(seed))]
    assert asked
    for question in asked:
        assert question.kind == "multi"
        assert set(question.message_ids) == {"<1@x>", "<re@x>"}
        assert "Ann" in question.question or "Lee" in question.question
