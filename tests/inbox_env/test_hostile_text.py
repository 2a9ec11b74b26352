"""Text made to be slow: marks without end, words that match everywhere, brackets, lines. All of it is read in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.emails import Address, Attachment, Email
from inbox_env.inbox import Inbox
from inbox_env.ingest.charsets import clean_text
from inbox_env.ingest.clean import MAX_LINES, split_quotes
from inbox_env.ingest.parse import parse_email
from inbox_env.rendering import split_body
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import fold, stream_safe, words
from inbox_env.search.snippet import cut_snippet, find_keyword
from inbox_env.store import build_inbox
from rewards.values import parse

ME = Address("Me", "me@x.org")
SENT = datetime(2001, 5, 1, tzinfo=UTC)


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def inbox_of(folder: Path, *mails: Email) -> Inbox:
    build_inbox(folder / "m.db", "me", mails, owner=ME)
    return Inbox.open(folder / "m.db", "me")


def mail(body: str, *attachments: Attachment) -> Email:
    return Email("<1@x>", SENT, ME, (ME,), "subject", body, attachments=attachments)


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0f73\u0301", "\uff9e\u0323", "\u05b0\u0327"])
def test_folding_is_linear_in_combining_marks(marks: str) -> None:
    text = "a" + marks * 100_000
    assert cpu_seconds(lambda: fold(text)) < 1.0
    assert cpu_seconds(lambda: parse(text)) < 1.0
    assert len(fold(text)) < 200


@given(
    st.text(alphabet=st.sampled_from("a\u0301\u0323\u05b0\uff9e\u0f73\u2014 가각\u11a8\u1100\u1161ㅋ会x"), max_size=150)
)
def test_folding_twice_gives_the_same_words(text: str) -> None:
    assert words(fold(text)) == words(text)
    assert stream_safe(stream_safe(text)) == stream_safe(text)


def test_marks_that_languages_use_and_lines_of_dashes_stay() -> None:
    for text in ("\u2500" * 80, "x" + "\u0301" * 30, "हिन्दी में", "שָׁלוֹם"):
        assert stream_safe(text) == text


@pytest.mark.parametrize("body", ["x" * 20_000_000, "xé" * 2_000_000, "x1 " * 2_000_000])
def test_looking_for_a_snippet_has_a_limit(body: str) -> None:
    many = ["x", "y", *(f"x{number} q{number}" for number in range(100, 114))]
    assert cpu_seconds(lambda: find_keyword(body, many)) < 0.5


def test_the_snippet_of_an_ordinary_long_mail_is_still_found() -> None:
    body = "xx " * 10_000 + "the x is here"
    assert "the x is here" in cut_snippet(body, find_keyword(body, ["x"]), 80)


@pytest.mark.parametrize("page", [10**18, 10**30])
def test_a_page_beyond_all_numbers_is_empty(tmp_path: Path, page: int) -> None:
    inbox = inbox_of(tmp_path, mail("body"))
    for query in (SearchQuery(("body",), page=page), SearchQuery((), page=page), SearchQuery(("none",), page=page)):
        assert inbox.search(query, as_of=None).hits == ()
    assert inbox.search(SearchQuery(("body",), page=page), as_of=None).num_matches == 1


@pytest.mark.parametrize("bomb", ["(", ")", "()", '"', "<", "a,", "=?", "(a)"])
def test_an_address_field_of_any_kind_is_read_in_linear_time(bomb: str) -> None:
    raw = f"From: {bomb * (500_000 // len(bomb))}\nSubject: s\n\ntext\n".encode()
    assert cpu_seconds(lambda: parse_email(raw)) < 2.0


@pytest.mark.parametrize("field", ["To: a@x.org", "Cc: b, c", "Received: x", "X-Gmail-Labels: a", "stray line\nTo: a"])
def test_any_number_of_fields_is_read_in_linear_time(field: str) -> None:
    raw = b"From: a@x.org\n" + f"{field}\n".encode() * 200_000 + b"\ntext\n"
    assert cpu_seconds(lambda: parse_email(raw)) < 2.0


@pytest.mark.parametrize("line", ["x", "On 1", "> a\n\nb", "", "x 01/02/2001 10:30", "From: a b", "----- Original"])
def test_folding_quotes_looks_at_so_many_lines(line: str) -> None:
    body = "hi\n" + f"{line}\n" * (9_000_000 // (len(line) + 1))
    assert cpu_seconds(lambda: split_quotes(body)) < 2.0


@pytest.mark.parametrize("line", ["-" * 9_000_000, " \t" * 4_500_000 + "x", "> " * 4_500_000, "On 1 " * 1_800_000])
def test_folding_quotes_looks_at_so_much_of_a_line(line: str) -> None:
    assert cpu_seconds(lambda: split_quotes(f"hi\n{line}\nSubject: x\n")) < 1.0


def test_a_quotation_after_very_many_lines_stays_and_one_before_is_folded_whole() -> None:
    quoted = "\n".join(["On 1 May 2001 at 10:30 Ann wrote:", *["> words"] * 2 * MAX_LINES])
    assert split_quotes(f"own\n{quoted}") == ("own\n\n[quoted text folded]", quoted)
    late = "\n".join(["own"] * MAX_LINES + ["> late"])
    assert split_quotes(late) == (late, "")


@pytest.mark.parametrize("body", ["x" * 9_000_000, "x y\n" * 2_000_000, "a" + "\n" * 9_000_000 + "a"])
def test_cutting_a_body_into_small_pages_is_linear(body: str) -> None:
    assert cpu_seconds(lambda: split_body(body, 100)) < 2.0


@given(st.text(alphabet="ab \n", max_size=80), st.integers(min_value=1, max_value=12))
def test_the_pages_of_a_body_hold_all_its_words(body: str, page_chars: int) -> None:
    pages = split_body(body, page_chars)
    assert "".join("".join(pages).split()) == "".join(body.split())
    assert all(len(page) <= page_chars for page in pages)


def test_what_steers_a_terminal_leaves_nothing_behind() -> None:
    assert clean_text("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\y\x1b[1;2Hz") == "red xyz"
    assert clean_text("a\x1bb \x1b") == "a b  "
    assert cpu_seconds(lambda: clean_text("\x1b]" * 1_000_000 + "\x1b[" * 1_000_000)) < 2.0


@pytest.mark.parametrize("code", [0xFFFD, 0xD800, 0xDCFF, 0, 0xE000, 0xF0000])
def test_characters_that_are_none_harm_no_search(tmp_path: Path, code: int) -> None:
    text = f"a {chr(code)} b"
    raw = f"From: a@x.org\nMessage-ID: <1@x>\nSubject: {text}\n\n{text}\n".encode("utf-8", "surrogatepass")
    inbox = inbox_of(tmp_path, parse_email(raw))
    assert len(inbox.search(SearchQuery(("a", "b")), as_of=None).hits) == 1
    assert len(inbox.search(SearchQuery((text,)), as_of=None).hits) in (0, 1)


def test_korean_is_found_inside_a_word_and_the_snippet_shows_it(tmp_path: Path) -> None:
    inbox = inbox_of(tmp_path, mail("안녕하세요 " * 60 + "회의는 서울에서 합니다"))
    for keyword in ("서울", "서울에서", "회의", "\u1109\u1165\u110b\u116e\u11af"):
        (hit,) = inbox.search(SearchQuery((keyword,)), as_of=None).hits
        assert "서울에서" in hit.snippet
    assert inbox.search(SearchQuery(("부산",)), as_of=None).hits == ()


def test_the_name_of_an_attachment_is_found(tmp_path: Path) -> None:
    attached = (Attachment("Vertrag_2020.docx", "application/msword", 9), Attachment("b.pdf", "a/b", 9, "inner words"))
    inbox = inbox_of(tmp_path, mail("see below", *attached))
    for keyword in ("Vertrag", "vertrag 2020", "Vertrag_2020.docx", "b.pdf", "inner"):
        assert len(inbox.search(SearchQuery((keyword,)), as_of=None).hits) == 1
    assert inbox.search(SearchQuery(("2020 inner",)), as_of=None).hits == ()
