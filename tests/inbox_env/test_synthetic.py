"""Invented inboxes: the same bytes each time, splits apart, labels true, and questions that take some searching."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from random import Random
from statistics import fmean, quantiles

import pytest

from agent.policies.question_words import content_words, proper_names
from inbox_env.email_rows import to_row
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import read_questions
from inbox_env.search.base import MAX_KEYWORDS, SearchQuery
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.synthetic.ask import MULTI_RATE, UNANSWERABLE_RATE
from inbox_env.synthetic.kinds import KINDS, mail_word
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.synthetic.names import SPLITS, split_of
from inbox_env.synthetic.world import make_world

# A change of these bytes voids every figure that was measured on invented inboxes, and the base model with them.
GOLDEN = "0d4de386"
SPAN = range(datetime(2001, 1, 8, tzinfo=UTC).toordinal(), datetime(2003, 2, 1, tzinfo=UTC).toordinal())


@cache
def box(split="train", seed=1, num_emails=500, num_questions=1500):
    return generate_inbox(split, seed, num_emails=num_emails, num_questions=num_questions)


@cache
def world_of(inbox, num_topics):
    return make_world(Random(f"mailsleuth:{inbox.name}"), inbox.split, num_topics)


def digest(inbox):
    lines = [repr(to_row(email)) for email in inbox.emails]
    lines += [question.model_dump_json() for question in inbox.questions]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def names_of(inbox, num_topics=29):
    """Every invented word of an inbox: people, topics, places, domains."""
    world = world_of(inbox, num_topics)
    topics = [name for names in (*world.topics.values(), *world.absent_topics.values()) for name in names]
    people = [person.name for person in (world.owner, *world.people)]
    places = [fact.value.split()[-1] for fact in world.facts if fact.kind.value in ("person", "place", "hotel")]
    domains = [person.email.partition("@")[2].removesuffix(".com") for person in world.people]
    return {word.lower() for text in (*topics, *people, *places, *domains) for word in text.split()}


def of_kind(kind, inbox=None):
    found = [question for question in (inbox or box()).questions if question.kind == kind]
    assert found
    return found


def slots_asked(question, world):
    """Every (topic, kind, sender) that a question may be about, read back from its words."""
    people = {person.name: person for person in world.people}
    people |= {person.name.split()[-1]: person for person in world.people}
    somebody = "(?P<{}>" + "|".join(sorted(map(re.escape, people), key=len, reverse=True)) + ")"
    for kind in KINDS:
        for ask in kind.asks:
            pattern = re.escape(ask).replace(r"\{sender\}", somebody.format("sender"), 1)
            pattern = pattern.replace(r"\{topic\}", r"(?P<topic>\w+)", 1)
            if found := re.search(pattern, question.question):
                yield found.groupdict().get("topic", ""), kind.name, people[found["sender"]]


def test_the_same_seed_gives_the_same_bytes():
    assert digest(generate_inbox("train", 1, num_emails=100, num_questions=50)) == GOLDEN
    assert digest(generate_inbox("train", 2, num_emails=100, num_questions=50)) != GOLDEN


@pytest.mark.parametrize("num_emails", [100, 500, 2000])
def test_as_many_mails_and_questions_as_asked_for(num_emails):
    for seed in (1, 2, 3):
        inbox = generate_inbox("dev", seed, num_emails=num_emails, num_questions=40)
        assert len({email.message_id for email in inbox.emails}) == num_emails
        assert len({question.id for question in inbox.questions}) == 40
        assert {question.inbox for question in inbox.questions} == {inbox.name}
        assert all(email.date is not None and email.date.toordinal() in SPAN for email in inbox.emails)


def test_names_of_different_splits_never_meet():
    words = {split: set().union(*(names_of(box(split, seed, 500, 5)) for seed in (1, 2, 3))) for split in SPLITS}
    for split, found in words.items():
        assert len(found) > 100
        assert {split_of(word) for word in found} == {split}
    assert sum(map(len, words.values())) == len(set().union(*words.values()))


def test_the_words_outside_of_names_are_few_and_shared():
    """What splits share is the language of facts and small talk: no invented name hides in it."""
    texts = {split: " ".join(mail.body for mail in box(split, 1, 500, 5).emails) for split in ("train", "test")}
    words = {split: set(re.findall(r"[A-Z][a-z]{3,}", text)) for split, text in texts.items()}
    shared = {word.lower() for word in words["train"] & words["test"]}
    assert not shared & (names_of(box("train", 1, 500, 5)) | names_of(box("test", 1, 500, 5)))


def test_every_gold_mail_is_there_and_says_the_answer():
    for inbox in (box(), box("test", 4, 2000, 500)):
        mails = {email.message_id: email for email in inbox.emails}
        for question in inbox.questions:
            parts = question.answer.split(" and ") if question.kind == "multi" else [question.answer]
            assert len(question.message_ids) == (len(parts) if question.answerable else 0)
            for message_id, part in zip(question.message_ids, parts, strict=False):
                assert part in mails[message_id].body


def test_no_other_mail_of_the_same_person_on_the_same_topic_says_another_answer():
    world = world_of(box(), 29)
    told = Counter((fact.topic, fact.kind.name, fact.sender.email) for fact in world.facts)
    for question in of_kind("single"):
        slots = {(topic, kind, sender.email) for topic, kind, sender in slots_asked(question, world)}
        assert sum(told[slot] for slot in slots) == 1, question.question


def test_nothing_answers_an_unanswerable_question():
    world = world_of(box(), 29)
    told = {(fact.topic, fact.kind.name, fact.sender.email) for fact in world.facts}
    for question in of_kind("unanswerable"):
        slots = list(slots_asked(question, world))
        assert slots
        assert not {(topic, kind, sender.email) for topic, kind, sender in slots} & told
        assert question.answer is None
        assert question.message_ids == ()


def test_unanswerable_questions_are_near_misses_that_the_day_does_not_give_away():
    world = world_of(box(), 29)
    topics = {topic for question in of_kind("unanswerable") for topic, *_ in slots_asked(question, world)}
    assert len(topics & set(world.circles)) > len(topics & set(sum(world.absent_topics.values(), ())))
    days = {kind: [question.asked_on.toordinal() for question in of_kind(kind)] for kind in ("single", "unanswerable")}
    assert abs(fmean(days["single"]) - fmean(days["unanswerable"])) < 40
    assert abs(quantiles(days["single"], n=10)[0] - quantiles(days["unanswerable"], n=10)[0]) < 90


def test_kinds_come_at_the_documented_rates():
    counts = Counter(question.kind for seed in (1, 2, 3) for question in box(seed=seed).questions)
    shares = {kind: count / counts.total() for kind, count in counts.items()}
    assert shares["unanswerable"] == pytest.approx(UNANSWERABLE_RATE, abs=0.02)
    assert shares["multi"] == pytest.approx(MULTI_RATE, abs=0.02)
    assert shares["distractor"] > 0.1
    assert shares["single"] > 0.4


def test_the_parts_of_a_multi_question_differ():
    for seed in range(1, 30):
        for question in of_kind("multi", box(seed=seed, num_emails=300)):
            first, second = question.answer.split(" and ")
            assert first != second


def test_a_correction_is_later_than_what_it_corrects():
    corrections = [fact for fact in world_of(box(), 29).facts if fact.corrects is not None]
    originals = {
        (fact.topic, fact.kind.name, fact.sender.email, fact.value): fact for fact in world_of(box(), 29).facts
    }
    assert len(corrections) > 10
    for fact in corrections:
        original = originals[fact.topic, fact.kind.name, fact.sender.email, fact.corrects]
        assert original.sent < fact.sent
        assert original.value != fact.value


def test_a_question_about_a_change_says_which_word_counts():
    mails = {email.message_id: email for email in box().emails}
    for question in of_kind("distractor"):
        is_latest = "the latest word" in question.question
        assert is_latest != ("before it changed" in question.question)
        assert mails[question.message_ids[0]].subject.startswith("Re: ") == is_latest


def test_questions_are_asked_when_their_mails_are_there():
    mails = {email.message_id: email for email in box().emails}
    for question in box().questions:
        assert question.asked_on.toordinal() in SPAN
        for message_id in question.message_ids:
            assert mails[message_id].date < question.as_of
            assert mails[message_id].date.date() < question.asked_on


def test_replies_are_by_the_owner_and_answer_a_mail_of_the_inbox():
    mails = {email.message_id: email for email in box().emails}
    replies = [email for email in box().emails if email.in_reply_to]
    assert len(replies) > 20
    for reply in replies:
        assert reply.sender == box().owner
        assert reply.date > mails[reply.in_reply_to].date
        assert reply.to == (mails[reply.in_reply_to].sender,)
        assert "\n> " in reply.body


def test_anding_all_words_finds_little_and_names_find_much(tmp_path):
    inbox = box(num_emails=500, num_questions=300)
    build_inbox(tmp_path / "m.db", inbox.name, inbox.emails, owner=inbox.owner)
    opened = Inbox.open(tmp_path / "m.db", inbox.name)

    def found(words, question):
        query = SearchQuery(tuple(words[:MAX_KEYWORDS]))
        hits = opened.search(query, as_of=question.as_of, limit=100).hits if words else ()
        return any(hit.message_id in question.message_ids for hit in hits)

    answerable = [question for question in inbox.questions if question.answerable]
    assert fmean(found(content_words(question.question), question) for question in answerable) < 0.1
    assert fmean(found(proper_names(question.question), question) for question in answerable) > 0.4


def test_thousands_of_questions_take_seconds():
    started = time.process_time()
    generate_inbox("train", 9, num_emails=2000, num_questions=5000)
    assert time.process_time() - started < 20


def test_what_cannot_be_generated_is_refused():
    with pytest.raises(UsageError, match="unknown split"):
        generate_inbox("holdout", 1)
    with pytest.raises(UsageError, match="at least 100 mails"):
        generate_inbox("train", 1, num_emails=99)


def test_a_mailbox_is_made_once_and_holds_what_was_generated(tmp_path):
    recipe = SyntheticRecipe("dev", (1, 2), num_emails=100, num_questions=10)
    mailbox, questions = ensure_mailbox(recipe, tmp_path / "cache")
    made = mailbox.stat().st_mtime_ns
    again, same = ensure_mailbox(recipe, tmp_path / "cache")
    assert (again, same, again.stat().st_mtime_ns) == (mailbox, questions, made)
    assert questions == [question for inbox in recipe.inboxes() for question in inbox.questions]
    inbox = generate_inbox("dev", 2, num_emails=100, num_questions=10)
    opened = Inbox.open(mailbox, inbox.name)
    assert opened.owner == inbox.owner
    for email in inbox.emails:
        assert opened.read(email.message_id, as_of=None).email.body == email.body
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".db", ".jsonl"}
    other, _ = ensure_mailbox(SyntheticRecipe("dev", (1,), num_emails=100, num_questions=10), tmp_path / "cache")
    assert other != mailbox


def test_a_generator_that_changed_makes_its_mailboxes_anew(tmp_path, monkeypatch):
    recipe = SyntheticRecipe("dev", (1,), num_emails=100, num_questions=10)
    mailbox, _ = ensure_mailbox(recipe, tmp_path)
    monkeypatch.setattr("inbox_env.synthetic.mailbox._generator_digest", lambda: "of another version")
    again, _ = ensure_mailbox(recipe, tmp_path)
    assert again != mailbox


def test_an_interrupted_build_leaves_nothing_that_could_be_taken_for_a_mailbox(tmp_path, monkeypatch):
    recipe = SyntheticRecipe("dev", (1,), num_emails=100, num_questions=10)

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("inbox_env.synthetic.mailbox.write_questions", fail)
    with pytest.raises(KeyboardInterrupt):
        ensure_mailbox(recipe, tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    _, questions = ensure_mailbox(recipe, tmp_path)
    assert len(questions) == 10


def test_questions_survive_their_file(tmp_path):
    _, questions = ensure_mailbox(SyntheticRecipe("dev", (1,), num_emails=100, num_questions=30), tmp_path)
    assert read_questions(next(tmp_path.glob("*.jsonl"))) == questions


def test_the_mails_own_word_is_known_for_every_question_and_never_said_in_it():
    inbox = box(split="dev")
    bodies = {email.message_id: f"{email.subject} {email.body}".lower() for email in inbox.emails}
    told = []
    for question in inbox.questions:
        word = mail_word(question.question)
        assert word is not None
        assert word not in question.question.lower().split()
        told += [word in bodies[message_id] for message_id in question.message_ids]
    assert 0.85 < fmean(told) < 1.0, "a searcher that relies on the word must sometimes fail"
    assert mail_word("What is the password of the universe?") is None
