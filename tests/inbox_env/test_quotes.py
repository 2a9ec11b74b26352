"""Quotations, signatures and forwards on hand-labelled mails: `quote_cases.txt` marks each line as kept (K), quoted
(Q) or signature (S)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest.clean import FOLDED, split_forwards, split_quotes, split_signature

Lines = list[tuple[str, str]]


def cases() -> dict[str, Lines]:
    found: dict[str, Lines] = {}
    for line in Path(__file__).with_name("quote_cases.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            found[line[4:]] = []
        else:
            label, _, text = line.partition("|")
            found[next(reversed(found))].append((label, text))
    return found


CASES = cases()


def text_of(lines: Lines, labels: str = "KQS") -> str:
    return "\n".join(text for label, text in lines if label in labels)


def words(text: str) -> list[str]:
    return text.replace(FOLDED, "").split()


def starts_with_its_quotation(lines: Lines) -> bool:
    return lines[0][0] == "Q"


@pytest.mark.parametrize("name", CASES)
def test_what_is_labelled_as_quoted_is_folded_and_nothing_else(name: str) -> None:
    lines = CASES[name]
    folded, quoted = split_quotes(text_of(lines))
    if starts_with_its_quotation(lines):  # its first quotation is kept: without it the answers say nothing
        first = next(place for place, (label, _) in enumerate(lines) if label == "K")
        lines = [("K", text) for _, text in lines[:first]] + lines[first:]
    assert words(quoted) == words(text_of(lines, "Q"))
    assert words(folded) == words(text_of(lines, "KS"))


@pytest.mark.parametrize("name", CASES)
def test_what_is_labelled_as_signature_is_parted_and_nothing_else(name: str) -> None:
    lines = CASES[name]
    own = split_quotes(text_of(lines))[0].replace(FOLDED, "").rstrip()
    if not starts_with_its_quotation(lines):
        assert words(split_signature(own)[1]) == words(text_of(lines, "S"))


def test_forwarded_mails_are_parted_with_their_headings() -> None:
    own, (gmail,) = split_forwards(text_of(CASES["forward, Gmail"]))
    assert own == "FYI"
    assert gmail.headers["From"] == "Bob Hall <bob@example.org>"
    assert gmail.headers["Subject"] == "Prices"
    assert gmail.body == "The price is 3.40."
    own, (apple,) = split_forwards(text_of(CASES["forward, Apple, German"]))
    assert (own, apple.headers["Betreff"], apple.body) == ("Zur Info.", "Preise", "Der Preis ist 3,40.")
    twice = text_of(CASES["forward, Gmail"]) + "\n\n" + text_of(CASES["forward, Thunderbird's old form"])
    assert [len(part.headers) for part in split_forwards(twice)[1]] == [4, 4]
    assert split_forwards("no forward") == ("no forward", [])


@given(st.lists(st.sampled_from([text for lines in CASES.values() for _, text in lines]), max_size=25))
def test_no_line_of_a_mixed_mail_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    folded, quoted = split_quotes(text)
    assert sorted(words(folded) + words(quoted)) == sorted(words(text))
    own, signature = split_signature(text)
    assert words(own) + words(signature) == words(text)
    split_forwards(text)


@pytest.mark.parametrize(
    "text",
    [
        *("> " * 200_000, ">\n" * 100_000, "On 1 " * 50_000, "On 1\n" * 50_000, "From: a\n" * 50_000, "_" * 300_000),
        *(
            "-----Original Message-----\n" * 10_000,
            "-- \n" * 50_000,
            "Thanks,\n" * 50_000,
            "a 1/1/2001 10:00\n" * 20_000,
        ),
        *("---------- Forwarded message\n" * 10_000, "x wrote:\n" * 30_000, "<a@b>" * 40_000, " \n" * 100_000),
        *(
            "On 1 2001 <a@" * 20_000,
            ("a" * 390 + "\n") * 500,
            ("schrieb " * 45 + "\n") * 500,
            ("À : " * 90 + "\n") * 500,
        ),
    ],
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    split_quotes("x\n" + text)
    split_signature(text)
    split_forwards(text)
    assert time.process_time() - started < 3
