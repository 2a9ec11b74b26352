"""Folding of quoted mail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest.clean import FOLDED, fold_quotes, split_quotes, strip_signature

OLD = "old words"


@pytest.mark.parametrize(
    "quotation",
    [
        "> old words\n> more",
        "On Mon, Jan 1, 2001 at 9:00 AM Ann <a@x.org> wrote:\n> old words",
        "On Mon, Jan 1, 2001 at 9:00 AM Ann\n<a@x.org> wrote:\n\n> old words\n>> older",
        "On Jan 1, 2001, Ann wrote:\n\nold words",
        "-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: x\n\nold words",
        "   -----Original Message-----\nFrom: Ann\n\nold words",
        "ann@x.org on 11/20/2000 01:17:35 PM\nTo: Bob@x.org\ncc:  \nSubject: x\n\nold words",
        "Ann Bell\n08/08/2000 10:33 AM\nSent by: Carl\nTo: Bob/Corp/Enron@ENRON\ncc: Eve\n\nold words",
        "\tFrom:  Ann Bell                           10/04/2000 11:10 AM\n\t\n\nTo: Bob\ncc:\n\nold words",
        "From: Ann\nSent: Monday\nTo: Bob\nSubject: x\n\nold words",
    ],
)
def test_what_a_reply_repeats_becomes_one_line(quotation: str) -> None:
    folded, quoted = split_quotes(f"New words.\n\n{quotation}\n")
    assert OLD not in folded
    assert OLD in quoted
    assert folded.startswith("New words.")
    assert folded.endswith(FOLDED)
    assert folded.count(FOLDED) == 1


@pytest.mark.parametrize(
    "text",
    [
        "FYI\n-------------- Forwarded by Ann on 01/01/2001 ---\n\nBob on 01/01/2001 09:00:00 AM\nTo: x\n\nold words",
        "See below\n\n---------- Forwarded message ----------\nFrom: Ann\nTo: Bob\nSubject: x\n\nold words",
        "-----Original Message-----\nFrom: Ann\nTo: Bob\nSubject: x\n\nold words",
        "> old words",
        "On Monday we wrote:\nold words are fine",
        "From: the old words\nthat we like",
    ],
)
def test_forwards_and_plain_words_are_kept(text: str) -> None:
    assert fold_quotes(text) == text


def test_answers_between_quotations_are_kept() -> None:
    text = "> first?\n\nyes\n\n> second?\n> really?\n\nno"
    assert fold_quotes(text) == f"> first?\n\nyes\n\n{FOLDED}\n\nno"


@given(st.text(st.sampled_from("> \n\tabc-:On wrote"), max_size=200))
def test_no_line_is_lost(text: str) -> None:
    folded, quoted = split_quotes(text)
    kept = folded.replace(FOLDED, "").split() + quoted.split()
    assert sorted(kept) == sorted(text.split())


@given(st.text(max_size=300))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold_quotes(fold_quotes(text)) == fold_quotes(text)


def test_signature_is_stripped_only_near_the_end() -> None:
    assert strip_signature("Hi\n\n-- \nAnn\nAcme") == "Hi"
    assert strip_signature("Hi\n-- \n" + "line\n" * 40) == "Hi\n-- \n" + "line\n" * 40
