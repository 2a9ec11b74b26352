"""Whoosh pages, counts and stops as promised, and opens nothing that this user's installation did not build.

That it finds what FTS5 finds is proved in `test_search_semantics`.
"""

from __future__ import annotations

import json
import pickle
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from inbox_env.database import QueryTooSlow
from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError
from inbox_env.importing.building import whoosh_directories
from inbox_env.inbox import Inbox
from inbox_env.search.base import MAX_SEARCH_SECONDS, SearchQuery
from inbox_env.search.manifest import key_file, write_manifest
from inbox_env.store import build_inbox

START = datetime(2001, 5, 1, tzinfo=UTC)
PEOPLE = (Address("Ann Lee", "ann@x.org"), Address("", "ann@x.org.uk"), Address("Bob Ann", "bob@x.org"))


@pytest.fixture(autouse=True, scope="module")
def _own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def mail(number: int, body: str) -> Email:
    return Email(f"<{number}@x>", START + timedelta(hours=number), PEOPLE[0], (), f"Subject {number}", body)


def build(path: Path, mails: list[Email]) -> Path:
    build_inbox(path, "me", mails, index="whoosh")
    return whoosh_directories(path, "me")[0]


def test_pages_hold_every_match_once(tmp_path: Path) -> None:
    build(tmp_path / "m.db", [mail(number, "note " * (1 + number % 4)) for number in range(23)])
    inbox = Inbox.open(tmp_path / "m.db", "me")
    pages = [inbox.search(SearchQuery(("note",), page=page), as_of=None, limit=5).hits for page in range(1, 7)]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3, 0]
    assert sorted(hit.number for page in pages for hit in page) == list(range(1, 24))


def test_threads_search_at_once(tmp_path: Path) -> None:
    build(tmp_path / "m.db", [mail(number, f"note {number % 7}") for number in range(200)])
    inbox = Inbox.open(tmp_path / "m.db", "me")
    seen: list[int] = []

    def search() -> None:
        for number in range(7):
            seen.append(inbox.search(SearchQuery(("note", str(number))), as_of=None).num_matches)

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [sum(n % 7 == number or n == number for n in range(200)) for number in range(7)]
    assert sorted(seen) == sorted(expected * 6)


def test_a_slow_search_stops_at_its_limit(tmp_path: Path) -> None:
    build(tmp_path / "m.db", [mail(number, "the the") for number in range(300)])
    inbox = Inbox.open(tmp_path / "m.db", "me")
    inbox._store.database.limit_seconds = 0.0
    with pytest.raises(QueryTooSlow):
        inbox.search(SearchQuery(("the",)), as_of=None)


FREQUENT = [f"w{number}" for number in range(12)]


@pytest.fixture(scope="module")
def broad(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """Mails that hold every frequent word and hardly a phrase of them; the last is one word, again and again."""
    path, random = tmp_path_factory.mktemp("broad") / "m.db", Random(1)
    mails = [mail(number, " ".join(random.choices(FREQUENT, k=60))) for number in range(150)]
    build(path, [*mails, mail(150, "w0 " * 15_000)])
    return Inbox.open(path, "me")


@pytest.mark.parametrize(
    "keywords",
    [
        tuple(f"{first} {second} {first} {second}" for first, second in pairwise(FREQUENT)),
        (*(f"{word} {word} {word} {word} {word} nowhere {word}" for word in FREQUENT), "w1 w1 w1 w1 w1"),
        ("w0 " * 40,),
        tuple(FREQUENT),
    ],
    ids=["phrases that match nothing", "an unknown word", "one long phrase in one long mail", "words"],
)
def test_a_search_stops_at_its_limit_even_when_nothing_matches(broad: Inbox, keywords: tuple[str, ...]) -> None:
    broad._store.database.limit_seconds = 1.0
    query = SearchQuery(keywords)
    expected, start = broad.search(query, as_of=None), time.thread_time()
    broad.search(query, as_of=None)
    whole = time.thread_time() - start
    assert whole < 1.2 * MAX_SEARCH_SECONDS
    broad._store.database.limit_seconds = limit = whole / 4
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(QueryTooSlow):
            broad.search(query, as_of=None)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 1.2 * limit + 0.002
    broad._store.database.limit_seconds = 1.0
    assert broad.search(query, as_of=None) == expected, "what came before does not count"


class Payload:
    """Unpickling this makes the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_foreign_index_is_refused_before_anything_in_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = build(tmp_path / "m.db", [mail(1, "note")])
    toc, trap = next(directory.glob("*.toc")), tmp_path / "trap"
    fingerprint = json.loads(json.loads((directory / "manifest.json").read_text())["content"])["fingerprint"]
    own_key = key_file().parent.parent
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "attacker"))
    toc.write_bytes(toc.read_bytes()[:40] + pickle.dumps(Payload(trap)))
    write_manifest(directory, fingerprint)
    monkeypatch.setenv("XDG_STATE_HOME", str(own_key))
    with pytest.raises(CorruptError, match="not built by you"):
        Inbox.open(tmp_path / "m.db", "me")
    assert not trap.exists()


@pytest.mark.parametrize("damage", ["change", "add", "remove", "no manifest", "no folder", "bad manifest"])
def test_an_index_that_changed_after_it_was_built_is_refused(tmp_path: Path, damage: str) -> None:
    directory = build(tmp_path / "m.db", [mail(1, "note")])
    segment = next(directory.glob("*.seg"))
    match damage:
        case "change":
            segment.write_bytes(segment.read_bytes()[:-1] + b"\x00\x01")
        case "add":
            shutil.copy(next(directory.glob("*_1.toc")), directory / "_MAIN_2.toc")
        case "remove":
            segment.unlink()
        case "no manifest":
            (directory / "manifest.json").unlink()
        case "no folder":
            shutil.rmtree(directory)
        case "bad manifest":
            (directory / "manifest.json").write_text('{"content": 3}')
    with pytest.raises(CorruptError, match="--index whoosh"):
        Inbox.open(tmp_path / "m.db", "me")


def test_an_index_of_other_mails_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "m.db", [mail(1, "note")])
    other = build(tmp_path / "n.db", [mail(2, "note")])
    directory = whoosh_directories(tmp_path / "m.db", "me")[0]
    shutil.rmtree(directory)
    shutil.copytree(other, directory)
    with pytest.raises(CorruptError, match="other mails"):
        Inbox.open(tmp_path / "m.db", "me")


def test_changing_the_backend_leaves_one_index(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    directory = build(path, [mail(1, "note")])
    build(path, [mail(1, "note"), mail(2, "note")])
    assert Inbox.open(path, "me").search(SearchQuery(("note",)), as_of=None).num_matches == 2
    build_inbox(path, "me", [mail(3, "note")])
    assert not directory.exists()
    assert Inbox.open(path, "me").search(SearchQuery(("note",)), as_of=None).num_matches == 1


def test_the_signing_key_is_for_its_user_alone(tmp_path: Path) -> None:
    build(tmp_path / "m.db", [mail(1, "note")])
    assert key_file().stat().st_mode & 0o077 == 0
    assert len(key_file().read_bytes()) == 32
