"""Faults of searching and of the opened file: rows F26 to F34 of the list of faults, one test each or more."""

from __future__ import annotations

import itertools
import pickle
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.actions import ToolCall, ToolResult
from inbox_env.database import Database, QueryTooSlow
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError, MailsleuthError
from inbox_env.importing.building import whoosh_directories
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import SearchQuery
from inbox_env.store import build_inbox
from inbox_env.tools import Toolbox
from scripts.cli import main

ANN = Address("Ann Lee", "ann@x.org")
START = datetime(2001, 5, 1, tzinfo=UTC)
SYNTAX = [*'"*^-+:(){}[],.;\\/\x00\ue000', "NEAR(", "AND", "OR", "NOT", "NEAR/2", "who:", "acl:", "search_1", "a", " "]
TRICKS = [
    '" OR "secret',
    "who:secret",
    "acl:secret",
    "subject : secret",
    "{subject body} : secret",
    "secret OR zebra",
    "-zebra",
    "NOT zebra",
    "* OR secret",
    "^secret",
    'zebra" OR rowid > 0 --',
    "search_2",
    "secret*",
    "\ue000secret",
]

odd_keywords = st.lists(st.lists(st.sampled_from(SYNTAX), min_size=1, max_size=30).map("".join), min_size=1, max_size=4)
tricks = st.lists(st.sampled_from(TRICKS) | st.text(max_size=20), min_size=1, max_size=4)


def mails(word: str, number: int = 30) -> list[Email]:
    return [
        Email(f"<{n}@{word}>", START + timedelta(days=n), ANN, (), f"{word} {n}", f"a {word} note {n} " * 20)
        for n in range(number)
    ]


@pytest.fixture(scope="module", params=["fts5", "whoosh"])
def boxes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Toolbox]]:
    path: Path = tmp_path_factory.mktemp("mail") / "m.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(path.parent / "state"))
        for word in ("zebra", "secret"):
            build_inbox(path, word, mails(word), index=request.param)
        yield [Toolbox(Inbox.open(path, word), None, ResultStyle()) for word in ("zebra", "secret")]


def search(box: Toolbox, *keywords: str) -> ToolResult:
    result = box.execute(ToolCall("search_emails", {"keywords": list(keywords)}))
    assert isinstance(result, ToolResult)
    return result


def assert_is_literal(box: Toolbox, keywords: list[str]) -> None:
    found = box.inbox.search(SearchQuery(tuple(keywords)), as_of=None)
    assert found.num_matches in (0, 30)  # "a" is in all mails, everything else in none


@settings(max_examples=300, deadline=None)
@given(odd_keywords)
def test_f26_no_keyword_is_syntax(boxes: list[Toolbox], keywords: list[str]) -> None:
    assert_is_literal(boxes[0], keywords)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(odd_keywords)
def test_f26_no_keyword_of_ten_thousand_is_syntax(boxes: list[Toolbox], keywords: list[str]) -> None:
    assert_is_literal(boxes[0], keywords)


@pytest.mark.parametrize(
    "keyword", ['"', "NEAR(a", "foo:", "*", "^", "-a", "c++", "AT&T", "user@x.com", "1,000", "it's"]
)
def test_f26_what_raises_as_raw_syntax_is_a_literal(boxes: list[Toolbox], keyword: str) -> None:
    assert not search(boxes[0], keyword).is_error


@pytest.mark.parametrize(
    "keyword", ["", "   ", "\x00", "a\x00b", "🎉" * 60, "会议" * 60, "שלום" * 30, "(" * 128, "a " * 64, "w" * 100_000]
)
def test_f27_odd_keywords_are_answered_within_50_ms(boxes: list[Toolbox], keyword: str) -> None:
    search(boxes[0], "warm")
    start = time.process_time()
    result = search(boxes[0], keyword)
    assert time.process_time() - start < 0.05
    assert result.content.startswith(("error: keywords: ", "0 found", "30 found"))
    start = time.process_time()
    boxes[0].inbox.search(SearchQuery((keyword,)), as_of=None)
    assert time.process_time() - start < 0.05


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(TRICKS) | st.text(max_size=20), min_size=1, max_size=4), st.sampled_from(["all", "any"])
)
def test_f28_no_query_leaves_the_inbox(boxes: list[Toolbox], keywords: list[str], match: str) -> None:
    for who in (None, keywords[0]):
        query = SearchQuery(tuple(keywords), from_addr=who, to_addr=who, match=match)
        hits = boxes[0].inbox.search(query, as_of=None, limit=99).hits
        assert all(hit.message_id.endswith("@zebra>") for hit in hits)


def test_f29_a_slow_query_stops_near_its_limit(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", mails("zebra", 400))
    database = Database.open(tmp_path / "m.db", limit_seconds=0.2)
    start = time.thread_time()
    with pytest.raises(QueryTooSlow):
        database.rows("SELECT count(*) FROM mails a, mails b, mails c WHERE a.body || b.body || c.body = ''")
    assert 0.2 <= time.thread_time() - start <= 0.3
    assert database.rows("SELECT count(*) FROM mails") == [(400,)]


def test_f29_a_pause_in_the_middle_of_a_quick_search_does_not_end_it(
    boxes: list[Toolbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, times = boxes[0], itertools.count(1)
    clock = time.thread_time
    # from the second look on, a second has passed: as after a collection of garbage
    monkeypatch.setattr("time.thread_time", lambda: clock() + (next(times) > 1))
    assert not search(box, "zebra").is_error


def test_f29_a_search_of_many_statements_has_one_limit(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "zebra", mails("zebra", 6000))
    inbox = Inbox.open(tmp_path / "m.db", "zebra")
    query = SearchQuery(("zebra", "note", "nowhere", *(f"a zebra note {n} a" for n in range(13))))
    assert inbox.search(query, as_of=None).keyword_counts["zebra"] == 6000
    inbox._store.database.limit_seconds = 0.0
    assert inbox.search(SearchQuery(("+", "nowhere")), as_of=None).keyword_counts == {"+": 0, "nowhere": 0}
    start = time.thread_time()
    with pytest.raises(QueryTooSlow):
        inbox.search(query, as_of=None)
    assert time.thread_time() - start < 0.1
    inbox._store.database.limit_seconds = 1.0
    counts = inbox.search(SearchQuery(("+", "zebra")), as_of=None).keyword_counts
    assert counts == {"+": 0, "zebra": 6000}, "what came before does not count"


def answers(path: Path) -> list[object]:
    """Everything a search and reads of the whole inbox give."""
    inbox = Inbox.open(path, "zebra")
    try:
        found = inbox.search(SearchQuery(("zebra",)), as_of=None, limit=99)
        return [found, *(inbox.read(number, as_of=None) for number in range(1, 31))]
    finally:
        inbox.close()


@pytest.mark.parametrize("where", ["header and schema", "anywhere"])
def test_f30_damage_is_an_error_or_does_no_harm(tmp_path: Path, where: str) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "zebra", mails("zebra"))
    whole, right, random, refused = path.read_bytes(), answers(path), Random(3), []
    num_bytes = 4096 if where == "header and schema" else len(whole)
    for _ in range(50):
        damaged = bytearray(whole)
        for _ in range(64):
            damaged[random.randrange(num_bytes)] ^= random.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            given_answers = answers(path)
            assert where == "anywhere" or given_answers == right
        except MailsleuthError as error:
            refused.append(error)
    assert len(refused) > 30
    assert {error.exit_code for error in refused} <= {2, 4}
    assert sum(error.exit_code == 4 for error in refused) > 30


@pytest.mark.parametrize("damage", ["truncated", "no database", "newer", "page"])
def test_f30_a_file_that_cannot_be_trusted_exits_4_and_names_the_doctor(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "zebra", mails("zebra"))
    content = path.read_bytes()
    if damage == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE mailsleuth_schema SET version = 99")
        connection.close()
    else:
        changed = {"truncated": content[:6000], "no database": b"From ann\n" * 900, "page": b"\xff" * 3000}[damage]
        path.write_bytes(content[: 4096 * 2] + changed + content[4096 * 2 + 3000 :] if damage == "page" else changed)
    code = main(["search", "zebra", "--mailbox", str(path), "--inbox", "zebra"])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (4, 1)
    assert error.startswith("error[E-DAT-")
    assert "mailsleuth doctor" in error


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO inboxes (name) VALUES ('x')",
        "UPDATE mails SET body = ''",
        "DELETE FROM search_1",
        "INSERT INTO search_1 (search_1) VALUES ('delete-all')",
        "CREATE TEMP TABLE t (x)",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA mmap_size = 0",
        "PRAGMA query_only = OFF",
        "SELECT load_extension('x.so')",
        "BEGIN IMMEDIATE",
        "VACUUM INTO 'copy.db'",
    ],
)
def test_f31_an_opened_file_can_only_be_read(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "zebra", mails("zebra"))
    before, names = path.read_bytes(), sorted(tmp_path.iterdir())
    database = Database.open(path)
    with pytest.raises(CorruptError):
        database.rows(statement)
    database.close()
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == (before, names)


@pytest.mark.parametrize("leftovers", [(), ("-wal",), ("-wal", "-shm"), ("-journal",)])
def test_f32_stale_journals_and_read_only_media_change_nothing(tmp_path: Path, leftovers: tuple[str, ...]) -> None:
    folder = tmp_path / "medium"
    folder.mkdir()
    path = folder / "m.db"
    build_inbox(path, "zebra", mails("zebra"))
    right = answers(path)
    for suffix in leftovers:
        path.with_name(path.name + suffix).write_bytes(b"stale" * 1000)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert answers(path) == right
    finally:
        folder.chmod(0o755)


class Payload:
    """Unpickling this makes the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["_MAIN_1.toc", "new.pickle", "_MAIN_9.toc"])
def test_f33_a_payload_in_an_index_never_runs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path, trap = tmp_path / "m.db", tmp_path / "trap"
    build_inbox(path, "zebra", mails("zebra"), index="whoosh")
    (whoosh_directories(path, "zebra")[0] / name).write_bytes(pickle.dumps(Payload(trap)))
    with pytest.raises(CorruptError, match="changed after it was built"):
        Inbox.open(path, "zebra")
    assert not trap.exists()


@pytest.mark.parametrize("keyword", ["w" * 8000, "w*", "(" * 2000, "zebra~9", "[a TO z]", "?" * 200, "zebra^9"])
def test_f34_whoosh_answers_what_its_parser_chokes_on(
    tmp_path: Path, keyword: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    build_inbox(tmp_path / "m.db", "zebra", mails("zebra", 5), index="whoosh")
    inbox = Inbox.open(tmp_path / "m.db", "zebra")
    inbox.search(SearchQuery(("warm",)), as_of=None)
    start = time.process_time()
    assert inbox.search(SearchQuery((keyword,)), as_of=None).num_matches == 0
    assert time.process_time() - start < 0.05
