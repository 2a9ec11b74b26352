"""Batches: the first so many are spread evenly over an inbox's time, the same again by the same seed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import log2
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.question_writer.batches import BATCH_MAILS, Batches, even_order
from agent.question_writer.mails import MAX_MAIL_CHARS, askable_mails, shown
from inbox_env.emails import Address, Email
from inbox_env.errors import UsageError
from inbox_env.known_items.mails import MAX_SAME_SUBJECT
from inbox_env.store import EmailStore, build_inbox

ME, ANN, BOB = Address("Me Self", "me@x.org"), Address("Ann Lee", "ann@x.org"), Address("Bob Ray", "bob@x.org")
START = datetime(2001, 1, 1, tzinfo=UTC)


def mail(number, body=None, sender=ANN, days=None, **more):
    day = START + timedelta(days=number if days is None else days)
    body = body or f"The parcel with number {number} has left our house for yours today, please look out for it."
    return Email(f"<{number}@x>", day, sender, (ME,), f"Parcel {number}", body, **more)


def store_of(folder, *mails):
    build_inbox(folder / "m.db", "me", mails, owner=ME)
    return EmailStore.open(folder / "m.db")


def batches_of(store, seed=1):
    return Batches(store, "me", askable_mails(store, "me"), seed)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 3000), st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_every_first_part_is_spread_evenly(size, seed, part, one, other):
    number = max(1, round(part * size))
    drawn = list(islice(even_order(size, Random(seed)), number))
    low, high = sorted((round(one * size), round(other * size)))
    inside = sum(low <= place < high for place in drawn)
    assert abs(inside - number * (high - low) / size) <= log2(number) + 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 400), st.integers(0, 2**32))
def test_every_mail_comes_once(size, seed):
    assert sorted(even_order(size, Random(seed))) == list(range(size))


def test_a_mailbox_is_asked_about_from_its_first_to_its_last_month(tmp_path):
    store = store_of(tmp_path, *(mail(number) for number in range(400)))
    for seed in range(5):
        firsts = [min(one.number for one in batch.mails) for batch in islice(batches_of(store, seed), 10)]
        assert {(number - 1) // 100 for number in firsts} == {0, 1, 2, 3}


def test_batches_are_whole_sorted_and_asked_about_in_time(tmp_path):
    store = store_of(tmp_path, *(mail(number) for number in range(60)))
    batches = list(batches_of(store))
    assert [batch.number for batch in batches] == list(range(1, 61))
    for batch in batches:
        numbers = [one.number for one in batch.mails]
        assert len(numbers) == BATCH_MAILS
        assert numbers == sorted(set(numbers))
        newest = batch.mails[-1].email.date.date()
        assert newest <= batch.asked_on <= (START + timedelta(days=59)).date()
    assert sum(batch.asked_on > batch.mails[-1].email.date.date() for batch in batches) > 50


def test_the_same_seed_gives_the_same_batches_and_another_others(tmp_path):
    store = store_of(tmp_path, *(mail(number) for number in range(60)))
    assert list(batches_of(store, 3)) == list(batches_of(store, 3))
    assert list(batches_of(store, 3)) != list(batches_of(store, 4))


def test_what_belongs_together_is_together(tmp_path):
    thread = [mail(500, days=10, sender=BOB), mail(501, days=90, sender=BOB, in_reply_to="<500@x>")]
    store = store_of(tmp_path, *(mail(number) for number in range(100)), *thread)
    together = [{one.email.message_id for one in batch.mails} for batch in batches_of(store)]
    assert any({"<500@x>", "<501@x>"} <= ids for ids in together)


def test_mails_are_shown_about_as_often_as_each_other(tmp_path):
    store = store_of(tmp_path, *(mail(number, sender=(ANN, BOB)[number % 2]) for number in range(200)))
    batches = list(islice(batches_of(store), 50))
    counts = [sum(number in {one.number for one in batch.mails} for batch in batches) for number in range(1, 201)]
    assert max(counts) <= 2 * sum(counts) / len(counts) + 2


def test_copies_undated_and_empty_mails_are_not_asked_about(tmp_path):
    body = "Dear all, the office will be closed on Friday the third because of the holiday, see you on Monday."
    undated = Email("<u@x>", None, ANN, (ME,), "Undated", body + " Undated.")
    store = store_of(tmp_path, mail(1, body), mail(2, body), mail(3, "ok"), undated, mail(4))
    read = [store.read("me", one.number, None).email.message_id for one in askable_mails(store, "me")]
    assert read == ["<1@x>", "<4@x>"]


def test_of_many_mails_with_one_subject_a_few_stay_from_first_to_last(tmp_path):
    letters = [replace(mail(number), subject=f"{'Re: ' * (number % 2)}Petition") for number in range(100)]
    numbers = [one.number for one in askable_mails(store_of(tmp_path, *letters, mail(200)), "me")]
    assert numbers[-1] == 101
    assert len(numbers[:-1]) == MAX_SAME_SUBJECT
    assert numbers[0] == 1
    assert numbers[-2] > 90


def test_an_inbox_without_words_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no mail of 'me' can be asked about"):
        askable_mails(store_of(tmp_path, mail(1, "ok")), "me")


def test_what_is_shown_is_bounded_and_without_invisible_text():
    hostile = mail(1, "\u202e\x1b[31m" + "word " * 4000)
    text = shown(hostile, ME)
    assert len(text) <= MAX_MAIL_CHARS
    assert not {"\u202e", "\x1b"} & set(text)
    assert text.startswith("From: Ann Lee <ann@x.org>")
