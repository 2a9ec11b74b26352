"""Which mails belong together."""

from __future__ import annotations

import subprocess
import sys
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.subjects import base_subject
from inbox_env.threads import MAX_GAP_DAYS, ThreadFinder

DAY = 86_400_000_000
ANN, BOB, EVE = "ann@x.org", "bob@x.org", "eve@x.org"


def threads(*mails: tuple) -> list[int]:
    """Mails are (id, in_reply_to, references, subject, people, day)."""
    finder = ThreadFinder()
    for name, reply, references, subject, people, day in mails:
        finder.add(name, reply, references, subject, people, None if day is None else day * DAY)
    return finder.threads()


def test_references_and_replies_join_even_through_a_mail_that_is_missing() -> None:
    assert threads(
        ("a", None, [], "x", [ANN], 1),
        ("b", "a", [], "other", [BOB], 2),
        ("c", None, ["missing"], "y", [ANN], 3),
        ("d", None, ["missing", "e"], "z", [BOB], 4),
        ("f", None, [], "x", [ANN], 5),
    ) == [0, 0, 2, 2, 4]


def test_a_reply_may_come_before_what_it_answers_and_name_a_copy() -> None:
    finder = ThreadFinder()
    finder.add("b", "copy", [], "Re: x", [BOB], 2)
    finder.add("a", None, [], "x", [ANN], 1, ["copy"])
    assert finder.threads() == [0, 0]


@pytest.mark.parametrize(
    ("subject", "people", "day", "is_joined"),
    [
        ("Re: Budget", [BOB, ANN], 3, True),
        ("AW: RE:  budget ", [BOB, EVE], 3, True),  # Bob had received it
        ("Fwd: Budget", [BOB, EVE], 3, True),
        ("Re: Budget", [EVE, ANN], 3, True),  # written to its sender
        ("Re: Budget", [EVE, BOB], 3, False),  # neither
        ("Budget", [BOB, ANN], 3, False),
        ("Re: Budgets", [BOB, ANN], 3, False),
        ("Re: Budget", [BOB, ANN], 2 + MAX_GAP_DAYS, False),
        ("Re: Budget", [BOB, ANN], 0, False),  # before it
        ("Re: Budget", [BOB, ANN], None, False),
    ],
)
def test_a_reply_without_references_joins_by_subject_and_people(subject, people, day, is_joined) -> None:
    found = threads(("a", None, [], "Budget", [ANN, BOB], 1), ("b", None, [], subject, people, day))
    assert found == ([0, 0] if is_joined else [0, 1])


def test_daily_reports_stay_apart_and_an_answer_joins_the_latest_one() -> None:
    reports = [(f"r{day}", None, [], "Daily report", [ANN, BOB], day) for day in range(5)]
    assert threads(*reports, ("b", None, [], "Re: Daily report", [BOB, ANN], 3)) == [0, 1, 2, 3, 4, 3]


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("Re: Fw: AW: x", "x", True),
        ("RE[2]: x", "x", True),
        ("Re (3): x", "x", True),
        ("SV: Vs: Odp: TR: RV: WG: x", "x", True),
        ("回复：x", "x", True),
        ("Ynt: İlt: x", "x", True),
        ("[list] Re: [list] x", "x", True),
        ("Re : x", "x", True),
        ("x (fwd)", "x", True),
        ("Real: x", "real: x", False),
        ("Re", "re", False),
        ("Re:", "", True),
        ("[list]", "[list]", False),
        ("Report: x", "report: x", False),
    ],
)
def test_subjects_are_freed_of_prefixes(subject: str, base: str, is_reply: bool) -> None:
    assert base_subject(subject) == (base, is_reply)


@pytest.mark.parametrize("subject", ["Re: " * 1_000, "[" * 4_000, "Re:" + " " * 4_000 + "x", "[x] " * 1_000])
def test_hostile_subjects_take_no_time(subject: str) -> None:
    started = time.process_time()
    base_subject(subject)
    assert time.process_time() - started < 0.05


MAILS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 12).map(str)),
        st.lists(st.integers(0, 12).map(str), max_size=2),
        st.sampled_from(["x", "Re: x", "Re: y", "y"]),
        st.lists(st.sampled_from([ANN, BOB, EVE]), min_size=1, max_size=3),
        st.integers(0, 50),
    ),
    max_size=9,
)


@given(MAILS, st.randoms(use_true_random=False))
def test_the_order_of_adding_does_not_matter(found: list, random: Random) -> None:
    mails = [(str(number), *mail) for number, mail in enumerate(found)]
    shuffled = list(mails)
    random.shuffle(shuffled)

    def groups(mails: list) -> set[frozenset[str]]:
        first = threads(*mails)
        assert all(first[place] == place <= position for position, place in enumerate(first))
        return {
            frozenset(mail[0] for mail, other in zip(mails, first, strict=True) if other == place) for place in first
        }

    assert groups(mails) == groups(shuffled)


def test_f15_mails_with_one_id_are_one_thread_and_hostile_references_are_bounded() -> None:
    finder = ThreadFinder()
    started = time.process_time()
    references = [f"<{number}@x.org>" for number in range(100)]
    for number in range(20_000):
        finder.add(f"<{number}@y.org>", None, references, "Re: x", [ANN, BOB], number)
    assert set(finder.threads()) == {0}
    assert time.process_time() - started < 4


MANY_MAILS = """
import re
from pathlib import Path
from random import Random
from inbox_env.threads import ThreadFinder

def peak():  # of this process alone: ru_maxrss starts from that of its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

random, finder = Random(1), ThreadFinder()
before = peak()
for number in range(500_000):
    people = [f"p{random.randrange(3_000)}@x.org" for _ in range(6)]
    is_reply = number % 3 == 0 and number > 10
    named = [f"<{number - random.randrange(1, 9)}@y.org>" for _ in range(3)] if is_reply and number % 2 else []
    subject = f"{'Re: ' * is_reply}subject {random.randrange(50_000)}"
    finder.add(f"<{number}@y.org>", named[-1] if named else None, named, subject, people, number * 60_000_000)
num_threads = len(set(finder.threads()))
print(num_threads, (peak() - before) / 1024)
"""


@pytest.mark.slow
def test_half_a_million_mails_take_less_than_100_mib() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_MAILS], capture_output=True, text=True, check=True)
    num_threads, mib = done.stdout.split()
    assert int(num_threads) > 1_000
    assert float(mib) <= 100
