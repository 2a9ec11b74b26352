"""Known-item questions: the same again from the same seed, solvable, about one mail, and absent when they say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from inbox_env.emails import Address, Email
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.known_items.checks import (
    Draft,
    has_distractors,
    is_never_together,
    is_solvable,
    is_topic_absent,
    is_unambiguous,
)
from inbox_env.known_items.generate import KnownItems, generate_known_items
from inbox_env.known_items.mails import known_mails, own_text, person_name, plain_subject
from inbox_env.known_items.templates import ALL
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.wording import When, draw_asked_on, draw_when
from inbox_env.known_items.words import content_words, plural, singular
from inbox_env.leak_report import measure_leaks
from inbox_env.questions import Question
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, build_inbox
from inbox_env.synthetic.generate import generate_inbox

ME, ANN = Address("Me Myself", "me@corp.example"), Address("Ann Lee", "ann@corp.example")
NUM_QUESTIONS = 60
WHEN = "in|around|early in|towards the end of|about|a few|two or three"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmailStore]:
    path = tmp_path_factory.mktemp("known") / "my.db"
    for seed, name in ((1, "a"), (2, "b")):
        invented = generate_inbox("dev", seed, num_emails=250, num_questions=1)
        build_inbox(path, name, invented.emails, owner=invented.owner)
    store = EmailStore.open(path)
    yield store
    store.close()


@pytest.fixture(scope="module")
def items(store: EmailStore) -> KnownItems:
    return KnownItems(store, "a")


@pytest.fixture(scope="module")
def questions(store: EmailStore, items: KnownItems) -> list[Question]:
    return generate_known_items(items, [KnownItems(store, "b")], NUM_QUESTIONS, seed=3, split="train")


def mail(number: int, sender: Address, to: Address, subject: str, body: str) -> Email:
    sent = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Email(f"<{number}@x>", sent, sender, (to,), subject, body)


def named_and_topic(question: Question) -> tuple[list[str], list[str]]:
    """Return the names that a question may use for its person, and the words of its topics, as read off templates.

    The template with the most words of its own is the one that was used.
    """
    timed = [text.replace("{when}", "<when>") for text in ALL]
    untimed = [re.sub(r"( It (?:came|must have been) <when>\.| <when>)", "", text) for text in timed]
    forms = [re.escape(text).replace("<when>", f"(?:{WHEN}) [^?.]+?") for text in (*timed, *untimed)]
    for name in ("who", "topic", "noun", "other"):
        forms = [text.replace(rf"\{{{name}\}}", f"(?P<{name}>.+?)", 1) for text in forms]
    found = [(len(text), match) for text in forms if (match := re.fullmatch(text, question.question))]
    assert found, question.question
    match = max(found, key=lambda one: one[0])[1].groupdict()
    who = match.get("who")
    topic = [word for word in words(match["topic"]) if word not in ("the", "and")]
    return ([who, who.split()[-1]] if who else []), topic


def count(items: KnownItems, *keywords: str) -> int:
    return items.inbox.search(SearchQuery(keywords), as_of=None).num_matches


def test_the_same_seed_gives_the_same_questions_and_another_seed_others(
    store: EmailStore, questions: list[Question]
) -> None:
    others = [KnownItems(store, "b")]
    again = generate_known_items(KnownItems(store, "a"), others, NUM_QUESTIONS, seed=3, split="train")
    assert again == questions
    changed = generate_known_items(KnownItems(store, "a"), others, NUM_QUESTIONS, seed=4, split="train")
    assert {one.question for one in changed} != {one.question for one in questions}


def test_questions_are_as_many_as_asked_and_of_every_kind(questions: list[Question]) -> None:
    assert len(questions) == NUM_QUESTIONS
    assert len({one.id for one in questions}) == len({one.question for one in questions}) == NUM_QUESTIONS
    assert {one.kind for one in questions} == {"single", "distractor", "multi", "unanswerable"}
    assert sum(not one.answerable for one in questions) == round(0.15 * NUM_QUESTIONS)
    assert {one.split for one in questions} == {"train"}


def test_one_or_two_words_of_the_question_find_the_mail(items: KnownItems, questions: list[Question]) -> None:
    for question in (one for one in questions if one.answerable):
        spoken = content_words(question.question)
        tries = [*((word,) for word in spoken), *combinations(spoken, 2)]
        found = (items.inbox.search(SearchQuery(keys), as_of=question.as_of, limit=10) for keys in tries)
        assert any(hit.message_id in question.message_ids for result in found for hit in result.hits), question


def test_the_mail_is_dated_before_the_question_and_the_question_before_the_end(
    items: KnownItems, questions: list[Question]
) -> None:
    assert items.last_day is not None
    for question in questions:
        assert question.asked_on is not None
        assert question.asked_on <= items.last_day
        for message_id in question.message_ids:
            stored = items.inbox.read(message_id, as_of=question.as_of)
            assert stored is not None
            assert stored.email.date is not None
            assert 1 <= (question.asked_on - stored.email.date.date()).days <= 400
            assert stored.email.date.date().isoformat() not in question.question


def test_what_is_unanswerable_is_in_no_mail(items: KnownItems, questions: list[Question]) -> None:
    """No mail has all words of the topic, none has the person's name and any of them, or none of those has a number."""
    absent = [one for one in questions if not one.answerable]
    for question in absent:
        assert (question.message_ids, question.answer) == ((), None)
        names, topic = named_and_topic(question)
        assert topic
        is_apart = not any(count(items, name, word) for name in names for word in topic)
        assert count(items, *topic) == 0 or is_apart or not numbers_in(items, names[0], topic), question.question
    assert any(count(items, *named_and_topic(one)[1]) for one in absent)


def numbers_in(items: KnownItems, who: str, topic: list[str]) -> list[str]:
    """Return the numbers in the mails of `who` that hold the topic."""
    hits = items.inbox.search(SearchQuery(tuple(topic), who), as_of=None, limit=100).hits
    found = [items.inbox.read(hit.number, as_of=None) for hit in hits]
    return [one for stored in found if stored is not None for one in re.findall(r"\d+", stored.email.body)]


def test_borrowed_topics_and_own_ones_asked_of_somebody_else_are_both_there(
    items: KnownItems, questions: list[Question]
) -> None:
    topics = [named_and_topic(one)[1] for one in questions if not one.answerable]
    is_known_here = [all(count(items, word) for word in topic) for topic in topics]
    assert set(is_known_here) == {True, False}


def test_a_question_is_about_one_mail_or_is_not_asked(tmp_path: Path) -> None:
    text = "We have signed the harbour lease, and the crane will be here soon."
    mails = [mail(number, ANN, ME, "Harbour lease", f"{text} Round {number}.") for number in (10, 100)]
    mails += [mail(number, Address("Ann Miller", "am@x"), ME, "Harbour", text) for number in (50, 51)]
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    inbox = Inbox.open(tmp_path / "my.db", "me")
    lease = Topic("the harbour lease", ("harbour", "lease"), 1.0)
    january = When("in January 2001", date(2001, 1, 1), date(2001, 1, 31))
    at_any_time = Draft(
        "Ann Lee", "Ann Lee", "Ann Lee", (lease,), ("the port contract",), When(""), date(2001, 12, 1), False
    )
    in_january = replace(at_any_time, when=january)
    assert is_unambiguous(inbox, in_january, ["<10@x>"])
    assert has_distractors(inbox, in_january, ["<10@x>"])
    assert not is_unambiguous(inbox, at_any_time, ["<10@x>"])
    assert not is_unambiguous(inbox, in_january, ["<100@x>"])
    spring = When("in spring", date(2001, 2, 1), date(2001, 5, 31))
    assert is_unambiguous(inbox, replace(at_any_time, when=spring), ["<100@x>"])
    assert not is_unambiguous(inbox, replace(at_any_time, who="Ann", called="Ann", when=spring), ["<100@x>"])
    assert is_solvable(inbox, at_any_time, ["<10@x>"])  # by the name
    assert not is_solvable(inbox, replace(at_any_time, called="Zoe"), ["<10@x>"])  # nor does "port" find it
    assert is_solvable(inbox, replace(at_any_time, called="Zoe", said=("the port lease",)), ["<10@x>"])
    before_it = replace(at_any_time, asked_on=date(2001, 1, 5))
    assert not is_solvable(inbox, before_it, ["<10@x>"])


def test_absence_is_of_all_dates_and_of_the_words_asked_as_well(tmp_path: Path) -> None:
    mails = [mail(10, ANN, ME, "Harbour lease", "Signed."), mail(300, ME, ANN, "Crane", "The crane contract.")]
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    inbox = Inbox.open(tmp_path / "my.db", "me")

    def draft(who: str, said: str, *searched: str) -> Draft:
        return Draft(who, who, who, (Topic(said, searched, 1.0),), (said,), When(""), date(2001, 2, 1), False)

    assert is_topic_absent(inbox, draft("Bob Roe", "the harbour crane", "harbour", "crane"))
    assert not is_topic_absent(inbox, draft("Bob Roe", "the crane contract", "crane", "deal"))
    assert not is_topic_absent(inbox, draft("Bob Roe", "the crane deal", "crane", "contract"))
    assert is_never_together(inbox, draft("Bob Roe", "the harbour crane", "harbour", "crane"))
    assert not is_never_together(inbox, draft("Ann Lee", "the ferry crane", "ferry", "crane"))
    assert not is_never_together(inbox, draft("Zoe Lee", "the ferry crane", "ferry", "crane"))  # a Lee there is


def test_few_questions_are_found_by_all_their_words(store: EmailStore, questions: list[Question]) -> None:
    report = measure_leaks(store, questions)
    assert report.found_by_all_words is not None
    assert report.found_by_all_words <= 0.05
    assert sum(report.num_by_kind.values()) == NUM_QUESTIONS
    assert report.days is not None
    assert 1 <= min(report.days) <= max(report.days) <= 400
    assert report.mean_words == sum(len(one.question.split()) for one in questions) / NUM_QUESTIONS


NAMES = "Robert Lane,Mike Shannon,Susan Olson,Tom Ellison,Greg Hobbs,Anne Kelly,Steven Mackie,Zoe Barton".split(",")
NOUNS = (
    "agreement invoice lawsuit brochure itinerary salary pump ladder crane ferry engine tower bridge valve magnet "
    "anchor barrel carpet dragon kettle lantern mirror pillow saddle"
).split()  # six have another word
KINDS = "green northern spare coastal rented narrow wooden plain heavy ancient".split()


def test_in_ordinary_english_few_are_found_by_their_words_without_those_that_say_when(tmp_path: Path) -> None:
    random = Random(5)
    pairs = [f"{random.choice(KINDS)} {noun}" for noun in NOUNS for _ in range(4)]
    mails = []
    for number in range(110):
        first, second = random.sample(pairs, 2)
        person = Address(name := random.choice(NAMES), f"{name.split()[1].lower()}@corp.example")
        text = f"{number} people look at the {first} again before they settle the {second}, or so they told me here."
        people = (person, ME) if random.random() < 0.7 else (ME, person)
        mails.append(mail(number, *people, f"Our {first}", text))
    calm = "Nothing of note here today, all is well and I shall write again soon."
    mails += [mail(number, ANN, ME, f"Day {number}", f"{number}: {calm}") for number in range(200, 350)]
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    store = EmailStore.open(tmp_path / "my.db")
    made = generate_known_items(KnownItems(store, "me"), [], 60)
    report = measure_leaks(store, made)
    assert len(made) == 60
    assert report.found_by_all_words is not None
    assert report.found_by_all_words <= 0.05
    assert report.found_without_times is not None
    assert report.found_without_times <= 0.15


def test_only_mail_between_people_is_asked_about(tmp_path: Path) -> None:
    body = "I talked to the people at the harbour about the storage lease and they agree with us."
    news = Address("Daily Market News", "news@elsewhere.example")
    mails = [
        mail(1, ANN, ME, "Storage lease", body),
        mail(2, ME, ANN, "Re: Storage lease", "Good, then please tell them that we want the lease from May on."),
        mail(3, news, ME, "Markets today", f"{body} Markets rose."),
        mail(4, ANN, ME, "Offer", f"{body} Please click here to unsubscribe."),
        mail(5, ANN, ME, "Short", "No."),
        *(mail(10 + n, ANN, ME, f"Form {n}", "This form letter goes out daily in the same words.") for n in (0, 1, 2)),
        mail(20, Address("Stranger Danger", "x@elsewhere.example"), ME, "Hello", body + " You do not know me."),
    ]  # fmt: skip
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    known = known_mails(EmailStore.open(tmp_path / "my.db"), "me")
    assert [(one.email.message_id, one.person, one.is_by_owner) for one in known.mails] == [
        ("<1@x>", "Ann Lee", False),
        ("<2@x>", "Ann Lee", True),
    ]


def test_copies_of_the_mail_are_gold_too(tmp_path: Path) -> None:
    body = "The harbour storage lease is signed, and the crane contract follows in a week or two."
    mails = [mail(number, ANN, ME, "Storage lease", body) for number in (1, 2)]
    build_inbox(tmp_path / "my.db", "me", mails, owner=ME)
    (known,) = known_mails(EmailStore.open(tmp_path / "my.db"), "me").mails
    assert known.ids == ("<1@x>", "<2@x>")


def test_an_inbox_without_such_mail_is_refused_in_one_line(tmp_path: Path) -> None:
    build_inbox(tmp_path / "my.db", "me", [mail(1, ANN, ME, "Short", "No.")], owner=ME)
    store = EmailStore.open(tmp_path / "my.db")
    with pytest.raises(UsageError, match="no mail of 'me' can be asked about"):
        generate_known_items(KnownItems(store, "me"), [], 5)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (Address("Ann Lee", "a@x"), "Ann Lee"),
        (Address("LEE, ANN B.", "a@x"), "Ann Lee"),
        (Address("Errol McLaughlin Jr.", "e@x"), "Errol McLaughlin"),
        (Address("Chet Fenner (E-mail)", "c@x"), "Chet Fenner"),
        (Address("", "chad.knipe@x"), "Chad Knipe"),
        (Address("SCS_2", "scs@x"), ""),
        (Address("Enron Announcements", "a@x"), ""),
        (Address("", "bob@x"), ""),
        (Address("Ann's Wines Spirits", "a@x"), ""),
        (Address("Lee & Roe", "a@x"), ""),
    ],
)
def test_a_person_is_called_by_name(address: Address, name: str) -> None:
    assert person_name(address) == name


def test_quotes_forwards_and_addresses_are_not_the_senders_own_text() -> None:
    body = "See https://x.example/y below.\n\n---------- Forwarded by Bob ----------\nold news\n"
    assert own_text(mail(1, ANN, ME, "x", body)) == "See   below."
    assert plain_subject("RE: Fw: [list] Storage  lease") == "Storage lease"


def test_a_rough_time_holds_the_day_and_never_names_it() -> None:
    random = Random(1)
    for number in range(2000):
        sent = date(2000, 1, 1) + timedelta(days=number % 731)
        asked_on = draw_asked_on(sent, date(2003, 1, 1), random)
        assert asked_on is not None
        when = draw_when(sent, asked_on, random)
        if when.first is not None and when.last is not None:
            assert when.first <= sent <= when.last
            assert (when.last - when.first).days >= 14
        assert sent.isoformat() not in when.text
    assert draw_asked_on(date(2001, 5, 5), date(2001, 5, 5), random) is None


def test_singular_and_plural_undo_each_other() -> None:
    for word in ("contract", "study", "lease", "party"):
        assert singular(plural(word)) == word
    assert plural("class") == singular("class") == "class"


def test_content_words_are_what_is_left_without_the_asking() -> None:
    asked = "I am looking for what Ann's letter had to say on the storage lease in March 2001."
    assert content_words(asked) == [*words("Ann letter storage lease March 2001")]
