"""What a search means, whatever index answers: FTS5 and Whoosh agree with a reference that reads every mail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.emails import Address, Attachment, Email
from inbox_env.inbox import Inbox
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words
from inbox_env.search.snippet import cut_snippet, find_keyword
from inbox_env.store import build_inbox

START = datetime(2001, 5, 1, tzinfo=UTC)
PEOPLE = (
    Address("Ann Lee", "ann@x.org"),
    Address("Ünal İbiş", "ünal@x.org.uk"),
    Address("Bob O'Hara", "b.ohara@x.org"),
    Address("会议 秘书", "ann@x.org.uk"),
)


def holds(text: str, keyword: str) -> bool:
    """Whether the keyword's words stand in a row in the text."""
    wanted, given_words = words(keyword), words(text)
    return bool(wanted) and any(
        given_words[n : n + len(wanted)] == wanted for n in range(len(given_words) - len(wanted) + 1)
    )


def is_person(address: Address, who: str) -> bool:
    if "@" in who.strip("@ "):
        return address.email.strip().lower() == who.strip().lower()
    return holds(address.name, who) or holds(address.email, who)


def reference(mails: list[Email], query: SearchQuery, as_of: datetime | None) -> set[str]:
    """The Message-IDs of the mails that match, found by reading all of them."""
    found = set()
    for mail in mails:
        has_bound = query.sent_after or query.sent_before or as_of
        if has_bound and mail.date is None:
            continue
        if mail.date is not None and (
            (query.sent_after and mail.date.date() < query.sent_after)
            or (query.sent_before and mail.date.date() > query.sent_before)
            or (as_of and mail.date > as_of)
        ):
            continue
        people = " ".join(f"{person.name} {person.email}" for person in (mail.sender, *mail.recipients))
        body = "\n".join((mail.body, *(item.text for item in mail.attachments)))
        matches = [any(holds(text, keyword) for text in (mail.subject, people, body)) for keyword in query.keywords]
        is_match = any(matches) if query.match == "any" and matches else all(matches)
        if query.from_addr is not None:
            is_match = is_match and is_person(mail.sender, query.from_addr)
        if query.to_addr is not None:
            is_match = is_match and any(is_person(person, query.to_addr) for person in mail.recipients)
        if is_match:
            found.add(mail.message_id)
    return found


LATIN = "a b ab A. é E ﬁ fi ß ss STRASSE ı İ i ２ 2 a-b b_a it's its 3,4 \u0301 x\u0301 𝒜 ① ½ "
OTHERS = "会议 会 ｶﾞ ガ हिन्दी שָׁלוֹם ي́ 𐴀𐴁 ꭰ"
pieces = st.sampled_from((LATIN + OTHERS).split(" ")) | st.text(max_size=3)
texts = st.lists(pieces, max_size=7).map(" ".join)
people = st.sampled_from(PEOPLE)
attachments = st.lists(st.builds(Attachment, st.just("n.txt"), st.just("text/plain"), st.just(1), texts), max_size=1)
drafts = st.tuples(st.none() | st.integers(0, 5), people, st.lists(people, max_size=2), texts, texts, attachments)
days = st.none() | st.integers(-1, 6).map(lambda n: date(2001, 5, 1) + timedelta(days=n))
who = st.none() | st.sampled_from(["ann@x.org", "ÜNAL@x.org.uk", "ann", "o'hara", "ibis", "x.org", "会议", "@", ""])
queries = st.builds(
    SearchQuery,
    keywords=st.lists(st.lists(pieces, min_size=1, max_size=3).map(" ".join), max_size=3).map(tuple),
    from_addr=who,
    to_addr=who,
    sent_after=days,
    sent_before=days,
    order=st.sampled_from(["relevance", "newest"]),
    match=st.sampled_from(["all", "any"]),
)


instants = st.none() | st.integers(0, 6)


@pytest.fixture(autouse=True, scope="module")
def _own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def to_email(number: int, draft: tuple) -> Email:
    day, sender, recipients, subject, body, attached = draft
    sent = None if day is None else START + timedelta(days=day, minutes=number)
    return Email(
        f"<{number}@x>",
        sender=sender,
        date=sent,
        to=tuple(recipients),
        subject=subject,
        body=body,
        attachments=tuple(attached),
    )


def all_pages(inbox: Inbox, query: SearchQuery, as_of: datetime | None) -> list[str]:
    """The Message-IDs of all pages of two hits; every page says the same number of matches."""
    seen: list[str] = []
    for page in range(1, 20):
        result = inbox.search(replace(query, page=page), as_of=as_of, limit=2)
        seen += [hit.message_id for hit in result.hits]
        if len(seen) >= result.num_matches:
            assert len(seen) == result.num_matches
            beyond = inbox.search(replace(query, page=page + 1), as_of=as_of, limit=2)
            assert (beyond.hits, beyond.num_matches) == ((), result.num_matches)
            return seen
    raise AssertionError("the pages never end")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(drafts, max_size=7), st.lists(st.tuples(queries, st.none() | st.integers(0, 6)), min_size=8, max_size=8)
)
def test_both_indexes_find_what_reading_every_mail_finds(
    given_drafts: list, asked: list[tuple[SearchQuery, int | None]]
) -> None:
    mails = [to_email(number, draft) for number, draft in enumerate(given_drafts)]
    with TemporaryDirectory() as folder:
        for index in ("fts5", "whoosh"):
            build_inbox(Path(folder) / f"{index}.db", "me", mails, index=index)
            inbox = Inbox.open(Path(folder) / f"{index}.db", "me")
            stored = [item.email for item in inbox._store.emails("me")]
            for query, day in asked:
                as_of = None if day is None else START + timedelta(days=day)
                found = all_pages(inbox, query, as_of)
                assert sorted(found) == sorted(reference(stored, query, as_of)), (index, query, as_of)
                if query.order == "newest" or not query.keywords:
                    assert found == [mail.message_id for mail in reversed(stored) if mail.message_id in found]
            inbox.close()


@pytest.mark.parametrize("index", ["fts5", "whoosh"])
@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Straße", "STRASSE"),
        ("ﬁnal oﬃce", "final office"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("résumé naïve", "RESUME NAIVE"),
        ("re\u0301sume\u0301", "résumé"),
        ("İstanbul", "istanbul"),
        ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
        ("下周三的预算会议", "预算"),
        ("東京タワー", "タワー"),
        ("it’s O’Hara", "it's o'hara"),
        ("C++ / AT&T", "at&t"),
        ("x² and ½", "x2"),
        ("snake_case", "snake case"),
        ("Привет Йод", "привет иод"),
        ("letters newer than SQLite: 𐴀𐴁", "𐴀𐴁"),
    ],
)
def test_case_accents_width_and_ligatures_are_folded(tmp_path: Path, index: str, written: str, asked: str) -> None:
    mails = [
        to_email(0, (1, PEOPLE[0], [], "", f"so {written} then", [])),
        to_email(1, (2, PEOPLE[0], [], "", "z", [])),
    ]
    build_inbox(tmp_path / "m.db", "me", mails, index=index)
    hits = Inbox.open(tmp_path / "m.db", "me").search(SearchQuery((asked,)), as_of=None).hits
    assert [hit.number for hit in hits] == [1]


@pytest.mark.parametrize(("written", "asked"), [("ısı", "isi"), ("its", "it's"), ("café", "cafè s"), ("会议", "议会")])
def test_what_differs_after_folding_is_not_found(tmp_path: Path, written: str, asked: str) -> None:
    build_inbox(tmp_path / "m.db", "me", [to_email(0, (1, PEOPLE[0], [], "", f"so {written} then", []))])
    assert Inbox.open(tmp_path / "m.db", "me").search(SearchQuery((asked,)), as_of=None).num_matches == 0


@pytest.mark.parametrize(
    ("body", "keyword", "shown"),
    [
        ("下周三的预算会议纪要已经发出" * 20 + "最后决定了" + "好" * 60, "决定", "决定"),
        ("lorem ipsum " * 60 + "the Café closes " + "dolor " * 60, "cafe", "Café"),
        ("lorem ipsum " * 60 + "die Straße ist zu " + "dolor " * 60, "strasse", "Straße"),
        ("lorem ipsum " * 60 + "ｐａｒｔｙ at six " + "dolor " * 60, "party", "ｐａｒｔｙ"),
        ("lorem ipsum " * 60 + "a party at six " + "dolor " * 60, "ｐａｒｔｙ", "party"),
        ("lorem ipsum é " * 60 + "le re\u0301sume\u0301 final " + "dolor " * 60, "resume", "re\u0301sume\u0301"),
        ("lorem ipsum " * 60 + "annual\n  report " + "dolor " * 60, "annual report", "annual report"),
    ],
)
def test_the_snippet_shows_the_matched_words_however_they_are_written(body: str, keyword: str, shown: str) -> None:
    snippet = cut_snippet(body, find_keyword(body, [keyword.lower()]), 80)
    assert shown in snippet
    assert len(snippet) <= 80


def test_looking_for_a_word_in_another_spelling_is_quick_in_any_body() -> None:
    for body in ("é" * 200_000, "xé" * 100_000, "né a b " * 30_000, "会" * 200_000, "x" * 100_000 + "é"):
        start = time.process_time()
        assert find_keyword(body, ["resume", "straße"]) == -1
        assert time.process_time() - start < 0.1
