"""FTS5 search: keywords are literal, bounds are kept, pages and counts are right."""

from __future__ import annotations

import sqlite3
import unicodedata
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inbox_env.database import Database, QueryTooSlow
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError
from inbox_env.inbox import Inbox
from inbox_env.search.base import MAX_KEYWORD_CHARS, MAX_KEYWORDS, SearchQuery
from inbox_env.search.folding import fold, words
from inbox_env.search.snippet import cut_snippet, find_keyword
from inbox_env.store import build_inbox

ME = Address("Me", "me@example.org")
ANN = Address("Ann Lee", "ann@example.org")
BOB = Address("Bob O'Hara", "bob.ohara@example.org")
START = datetime(2001, 5, 1, 12, tzinfo=UTC)


def mail(number: int, subject: str, body: str = "", sender: Address = ANN, to: Address = ME) -> Email:
    return Email(f"<{number}@x>", START + timedelta(days=number), sender, (to,), subject, body)


def open_inbox(path: Path, mails: list[Email]) -> Inbox:
    build_inbox(path, "me", mails, owner=ME)
    return Inbox.open(path, "me")


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    mails = [
        mail(0, "Budget 2001", "We plan 40,000 dollars for C++ tools at AT&T. It's fine."),
        mail(1, "Lunch", "A budget lunch? foo:bar NEAR(a) -a * ^top", BOB),
        mail(2, "Re: Budget", "Das Café in Zürich hat geöffnet", BOB),
        mail(3, "会议纪要", "下周三的预算会议 🎉 party"),
        mail(4, "Trip", "write to user@example.com\nabout the\n  annual   report", ANN, BOB),
        Email("<undated@x>", None, ANN, (ME,), "Undated budget", "no date"),
    ]
    return open_inbox(tmp_path_factory.mktemp("mail") / "m.db", mails)


def found(
    inbox: Inbox,
    *keywords: str,
    as_of: datetime | None = None,
    from_addr: str | None = None,
    to_addr: str | None = None,
) -> set[str]:
    query = SearchQuery(keywords, from_addr, to_addr)
    return {hit.message_id.strip("<>").removesuffix("@x") for hit in inbox.search(query, as_of=as_of, limit=99).hits}


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        (["budget"], {"0", "1", "2", "undated"}),
        (["BUDGET", "lunch"], {"1"}),
        (["budget lunch"], {"1"}),
        (["lunch budget"], set()),
        (["40,000"], {"0"}),
        (["c++"], {"0"}),
        (["AT&T"], {"0"}),
        (["it's"], {"0"}),
        (["cafe"], {"2"}),
        (["ZÜRICH"], {"2"}),
        (["zu\u0308rich"], {"2"}),
        (["会议"], {"3"}),
        (["议会"], set()),
        (["ｐａｒｔｙ"], {"3"}),
        (["user@example.com"], {"4"}),
        (["about the annual report"], {"4"}),
        (["ann lee", "trip"], {"4"}),
        (["bud"], set()),
        (["bud*"], set()),
        (["🎉"], set()),
        (["budget", "+++"], set()),
        (["subject:budget"], set()),
        (["budget OR trip"], set()),
        (["near(a)"], {"1"}),
        (["foo:bar"], {"1"}),
        (['"budget"'], {"0", "1", "2", "undated"}),
        (["-budget"], {"0", "1", "2", "undated"}),
        (["bud\x00get"], set()),
        (["\ue000ann"], {"0", "3", "4", "undated"}),
    ],
)
def test_keywords_are_literal_words_and_phrases(inbox: Inbox, keywords: list[str], expected: set[str]) -> None:
    assert found(inbox, *keywords) == expected


@pytest.mark.parametrize(
    ("sender", "recipient", "expected"),
    [
        ("ann@example.org", None, {"0", "3", "4", "undated"}),
        (" ANN@example.org ", None, {"0", "3", "4", "undated"}),
        ("nn@example.org", None, set()),
        ("ann@example", None, set()),
        ("ann", None, {"0", "3", "4", "undated"}),
        ("lee ann", None, set()),
        ("Bob O'Hara", None, {"1", "2"}),
        ("me@example.org", None, set()),
        (None, "bob.ohara@example.org", {"4"}),
        ("ann", "bob", {"4"}),
        (None, "ann", set()),
        ("", None, set()),
        ("@", None, set()),
    ],
)
def test_people_are_found_by_address_or_by_name(
    inbox: Inbox, sender: str | None, recipient: str | None, expected: set[str]
) -> None:
    assert found(inbox, from_addr=sender, to_addr=recipient) == expected


ODD = [*'"*^-+:(){}[],.\x00\ue000\ue001', "NEAR", "AND", "OR", "NOT", "subject", "who:", "search_1", "budget", " ", "é"]
odd_keywords = st.lists(st.sampled_from(ODD), min_size=1, max_size=40).map("".join) | st.text(
    max_size=MAX_KEYWORD_CHARS
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(odd_keywords, min_size=1, max_size=MAX_KEYWORDS), st.none() | odd_keywords, st.sampled_from(["all", "any"])
)
@example(["(" * 128], None, "all")
@example(["NEAR(budget lunch, 9)", 'budget" OR "trip'], 'x" OR who:"ann', "any")
def test_no_keyword_is_syntax(inbox: Inbox, keywords: list[str], who: str | None, match: str) -> None:
    result = inbox.search(SearchQuery(tuple(keywords), who, who, match=match), as_of=None)
    if who is None and match == "all" and result.num_matches:
        assert all(words(keyword) for keyword in keywords)
    if not result.num_matches:
        assert set(result.keyword_counts) == (set(keywords) if len(set(keywords)) > 1 else set())


def test_nothing_found_says_what_each_keyword_finds_alone_under_the_same_bounds(inbox: Inbox) -> None:
    query = SearchQuery(("budget", "trip", "zebra", "?"), from_addr="ann", sent_before=date(2001, 5, 5))
    result = inbox.search(query, as_of=None)
    assert (result.num_matches, result.hits) == (0, ())
    assert result.keyword_counts == {"budget": 1, "trip": 1, "zebra": 0, "?": 0}
    assert inbox.search(SearchQuery(("zebra",)), as_of=None).keyword_counts == {}
    assert inbox.search(SearchQuery(("budget", "2001")), as_of=None).keyword_counts == {}


def test_match_any_finds_mails_with_at_least_one_keyword(inbox: Inbox) -> None:
    query = SearchQuery(("lunch", "trip", "+++"), to_addr="me", match="any")
    assert [hit.message_id for hit in inbox.search(query, as_of=None).hits] == ["<1@x>"]


@pytest.mark.parametrize(
    ("after", "before", "as_of", "expected"),
    [
        (None, None, None, {"0", "1", "2", "undated"}),
        (date(2001, 5, 2), None, None, {"1", "2"}),
        (None, date(2001, 5, 2), None, {"0", "1"}),
        (date(2001, 5, 2), date(2001, 5, 2), None, {"1"}),
        (date(2001, 5, 3), date(2001, 5, 2), None, set()),
        (date(2002, 1, 1), None, None, set()),
        (None, date(2000, 1, 1), None, set()),
        (date.min, date.max, None, {"0", "1", "2"}),
        (None, None, START + timedelta(days=1), {"0", "1"}),
        (None, None, START + timedelta(days=1, microseconds=-1), {"0"}),
        (None, date(2001, 5, 3), START, {"0"}),
        (None, None, START - timedelta(days=1), set()),
        (date(2001, 5, 2), None, START, set()),
    ],
)
def test_day_bounds_are_inclusive_and_later_mail_is_invisible(
    inbox: Inbox, after: date | None, before: date | None, as_of: datetime | None, expected: set[str]
) -> None:
    for keywords in (("budget",), ("budget", "zebra")):
        result = inbox.search(SearchQuery(keywords, sent_after=after, sent_before=before), as_of=as_of)
        count = result.num_matches if len(keywords) == 1 else result.keyword_counts["budget"]
        assert count == len(expected)
    hits = inbox.search(SearchQuery(("budget",), sent_after=after, sent_before=before), as_of=as_of).hits
    assert {hit.message_id for hit in hits} == {f"<{name}@x>" for name in expected}


def test_the_subject_counts_more_and_ties_go_to_the_newest(tmp_path: Path) -> None:
    mails = [mail(n, "Note", "plain zebra text here") for n in range(4)] + [mail(9, "zebra", "plain note text here")]
    inbox = open_inbox(tmp_path / "m.db", [*mails, *(mail(n, "Other", "filler") for n in range(20, 40))])
    hits = inbox.search(SearchQuery(("zebra",)), as_of=None).hits
    assert [hit.message_id for hit in hits] == ["<9@x>", "<3@x>", "<2@x>", "<1@x>", "<0@x>"]


@pytest.mark.parametrize("order", ["newest", "relevance"])
@pytest.mark.parametrize("keywords", [("note",), ()])
def test_pages_cover_every_match_once_in_one_order(tmp_path: Path, order: str, keywords: tuple[str, ...]) -> None:
    inbox = open_inbox(tmp_path / "m.db", [mail(n, f"Note {n}", "text " * (n % 5)) for n in range(23)])
    pages = [
        inbox.search(SearchQuery(keywords, from_addr="ann", order=order, page=page), as_of=None, limit=5)
        for page in range(1, 7)
    ]
    numbers = [hit.number for page in pages for hit in page.hits]
    assert [len(page.hits) for page in pages] == [5, 5, 5, 5, 3, 0]
    assert {page.num_matches for page in pages} == {23}
    assert sorted(numbers) == list(range(1, 24))
    if order == "newest" or not keywords:
        assert numbers == list(range(23, 0, -1))


def test_a_hit_tells_number_sender_subject_and_snippet(inbox: Inbox) -> None:
    hit = inbox.search(SearchQuery(("annual report",)), as_of=None).hits[0]
    assert (hit.number, hit.sender, hit.subject) == (6, "Ann Lee", "Trip")
    assert hit.snippet == "write to user@example.com about the annual report"
    assert hit.date == START + timedelta(days=4)
    assert inbox.search(SearchQuery(("trip",)), as_of=None, snippet_chars=0).hits[0].snippet == ""


@settings(max_examples=300, deadline=None)
@given(st.text("ab \n", max_size=200), st.text("ab", min_size=1, max_size=3), st.integers(1, 60))
def test_a_snippet_is_short_one_line_and_shows_the_keyword(body: str, keyword: str, num_chars: int) -> None:
    snippet = cut_snippet(body, find_keyword(body, [keyword]), num_chars)
    assert len(snippet) <= num_chars
    assert snippet == " ".join(snippet.split())
    if keyword in body.split() and num_chars >= 12:
        assert keyword in snippet


def test_a_snippet_prefers_the_whole_word(tmp_path: Path) -> None:
    body = "start " * 50 + "an art show"
    assert "art show" in cut_snippet(body, find_keyword(body, ["art"]), 60)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    folded = fold(text)
    assert words(folded) == words(text)
    assert not any(unicodedata.category(character) in ("Co", "Cs") for character in folded)


def test_a_huge_mail_is_searched_to_its_end(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path / "m.db", [mail(1, "s" * 100_000, "word " * 200_000 + "x" * 100_000 + " needle")])
    assert found(inbox, "needle") == {"1"}


def test_a_search_past_its_time_limit_is_said_to_be_too_slow(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path / "m.db", [mail(n, "the", "the " * 5) for n in range(3000)])
    inbox._store.database.limit_seconds = 0.0
    with pytest.raises(QueryTooSlow):
        inbox.search(SearchQuery(("the",)), as_of=None)


def test_an_index_that_names_mails_which_are_gone_is_corrupt(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(1, "budget"), mail(2, "budget")])
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("DELETE FROM mails WHERE subject = 'budget' AND message_id = '<1@x>'")
    connection.close()
    with pytest.raises(CorruptError, match="disagree"):
        Inbox.open(tmp_path / "m.db", "me").search(SearchQuery(("budget",)), as_of=None)
    assert Database.open(tmp_path / "m.db").rows("SELECT count(*) FROM mails") == [(1,)]
