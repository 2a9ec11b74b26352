"""Nothing of a user's is lost or mistaken: other files, mail that the counts deny, links, ids and names used again."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inbox_env.emails import Address, Email
from inbox_env.errors import CorruptError, ExitCode, ResourceError, StoppedError
from inbox_env.importing import building, import_mail, reading
from inbox_env.importing.building import whoosh_directories
from inbox_env.importing.staging import Staging
from inbox_env.inbox import Inbox
from inbox_env.lock import mailbox_lock
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore, build_inbox
from inbox_env.upkeep.forgetting import forget
from inbox_env.upkeep.rebuilding import rebuild
from scripts.cli import main
from tests.faults.import_bench import Bench, box, plain

ANN = Address("Ann", "ann@example.org")
START = datetime(2001, 5, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.put("a.mbox", box(*map(plain, range(1, 6))))
    return bench


def mail(number: int, body: str = "note") -> Email:
    return Email(f"<{number}@x>", START + timedelta(hours=number), ANN, (), f"Subject {number}", f"{body} {number}")


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def num_found(path: Path, inbox: str, word: str = "note") -> int:
    opened = Inbox.open(path, inbox)
    try:
        return opened.search(SearchQuery((word,)), as_of=None).num_matches
    finally:
        opened.close()


def ids(path: Path, inbox: str = "me") -> dict[str, str]:
    store = EmailStore.open(path)
    try:
        return {stored.email.body.strip(): stored.email.message_id for stored in store.emails(inbox)}
    finally:
        store.close()


def test_a_mailbox_named_as_ours_inside_is_kept_by_every_write(tmp_path: Path) -> None:
    bystander, mailbox = tmp_path / "mailbox.db", tmp_path / "my.db"
    build_inbox(bystander, "me", [mail(1)])
    build_inbox(mailbox, "me", [mail(2)])
    build_inbox(mailbox, "me", [mail(2), mail(3)])
    rebuild(mailbox)
    build_inbox(bystander, "you", [mail(4)])
    rebuild(bystander)
    assert (num_found(bystander, "me"), num_found(bystander, "you"), num_found(mailbox, "me")) == (1, 1, 2)


@pytest.mark.parametrize("count", [2, 9])
def test_an_import_into_an_inbox_whose_count_is_wrong_is_refused_and_loses_nothing(bench: Bench, count: int) -> None:
    bench.run()
    change(bench.mailbox, f"UPDATE inboxes SET num_emails = {count}")
    before = bench.mailbox.read_bytes()
    bench.put("b.mbox", box(plain(7)))
    with pytest.raises(CorruptError, match="doctor"):
        bench.run()
    assert bench.mailbox.read_bytes() == before


def test_two_names_of_one_mailbox_share_its_lock_and_the_link_stays(bench: Bench, tmp_path: Path) -> None:
    bench.run()
    (tmp_path / "names").mkdir()
    link = tmp_path / "names" / "link.db"
    link.symlink_to(bench.mailbox)
    with mailbox_lock(bench.mailbox), pytest.raises(ResourceError, match="locked by pid"):
        import_mail.import_mail([bench.source], link, "me")
    bench.put("b.mbox", box(plain(7)))
    import_mail.import_mail([bench.source], link, "me")
    build_inbox(link, "other", [mail(1)])
    rebuild(link)
    forget(link, "other")
    assert link.is_symlink()
    assert sorted(path.name for path in link.parent.iterdir()) == ["link.db"]
    assert num_found(bench.mailbox, "me", "body") == num_found(link, "me", "body") == 6
    fresh = tmp_path / "names" / "fresh.db"
    fresh.symlink_to(tmp_path / "new.db")
    import_mail.import_mail([bench.source], fresh, "me")
    assert (fresh.is_symlink(), num_found(tmp_path / "new.db", "me", "body")) == (True, 6)


def test_a_link_to_itself_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.db").symlink_to(tmp_path / "a.db")
    assert main(["import", str(tmp_path), "--mailbox", str(tmp_path / "a.db"), "--inbox", "me"]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("is_new", [True, False])
def test_what_another_writer_added_meanwhile_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    if not is_new:
        bench.run()
        bench.put("b.mbox", box(plain(7)))
    original = import_mail.join_copies_and_threads

    def join(*arguments: Any) -> bool:
        aside = bench.mailbox.with_name("aside.db")
        build_inbox(aside, "me", [mail(9, "meanwhile")])
        aside.replace(bench.mailbox)
        return original(*arguments)

    monkeypatch.setattr(import_mail, "join_copies_and_threads", join)
    with pytest.raises(ResourceError, match="import again"):
        bench.run()
    assert num_found(bench.mailbox, "me", "meanwhile") == 1


def test_a_search_through_a_link_undoes_what_a_killed_writer_left(bench: Bench, tmp_path: Path) -> None:
    bench.put("a.mbox", box(*map(plain, range(1, 301))))
    bench.run()
    before = ids(bench.mailbox)
    (tmp_path / "names").mkdir()
    link = tmp_path / "names" / "link.db"
    link.symlink_to(bench.mailbox)
    process = os.fork()
    if process == 0:
        connection = sqlite3.connect(bench.mailbox, isolation_level=None)
        for statement in ("PRAGMA cache_size = 1", "BEGIN", "UPDATE mails SET body = hex(zeroblob(9000))"):
            connection.execute(statement)
        os._exit(0)
    os.waitpid(process, 0)
    assert bench.mailbox.with_name("my.db-journal").stat().st_size > 0
    assert bench.mailbox.stat().st_size > 500_000
    assert (num_found(link, "me", "body"), ids(link)) == (300, before)


def forget_and_reuse(path: Path) -> None:
    forget(path, "alice")
    build_inbox(path, "bob", [mail(1, "of bob")])


def forget_and_make_again(path: Path) -> None:
    forget(path, "alice")
    build_inbox(path, "alice", [mail(1, "other")])


@pytest.mark.parametrize("what", [forget_and_reuse, forget_and_make_again, rebuild])
def test_an_open_inbox_never_shows_what_took_its_place(tmp_path: Path, what: Callable[[Path], object]) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "alice", [mail(1), mail(2)])
    inbox = Inbox.open(path, "alice")
    assert inbox.read(1, as_of=None) is not None
    what(path)
    with pytest.raises(ResourceError, match="open it again"):
        inbox.read(1, as_of=None)
    with pytest.raises(ResourceError, match="open it again"):
        inbox.search(SearchQuery(("note",)), as_of=None)


def test_an_inbox_of_a_store_that_was_opened_before_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "alice", [mail(1), mail(2)])
    store = EmailStore.open(path)
    forget_and_reuse(path)
    with pytest.raises(ResourceError, match="open it again"):
        Inbox(store, "alice")


def test_an_inbox_that_goes_while_nothing_new_is_imported_is_one_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    original = import_mail.record_sources

    def record(*arguments: Any) -> None:
        change(bench.mailbox, "UPDATE inboxes SET name = 'you'")
        original(*arguments)

    monkeypatch.setattr(import_mail, "record_sources", record)
    with pytest.raises(ResourceError, match="import again"):
        bench.run()


def test_stored_mails_keep_their_ids_whatever_comes_after(bench: Bench) -> None:
    same = plain(1).replace(b"body 1", b"%s")
    for name, words in (("b", b"middle"), ("c", b"zeta"), ("d", b"alpha"), ("e", b"beta")):
        before = ids(bench.mailbox) if bench.mailbox.exists() else {}
        bench.put(f"{name}.mbox", box(same % words))
        bench.run()
        assert before.items() <= ids(bench.mailbox).items()
    found = ids(bench.mailbox)
    assert len(set(found.values())) == len(found) == 9
    assert {found[words] for words in ("zeta", "alpha", "beta")} == {f"<1@x.org>#{place}" for place in (3, 4, 5)}


@pytest.mark.parametrize(("first", "second"), [("whoosh", "whoosh"), ("whoosh", "fts5"), ("fts5", "whoosh")])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_build_killed_around_its_commit_leaves_an_inbox_that_can_be_searched(
    tmp_path: Path, first: Any, second: Any, moment: str
) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "me", [mail(1)], index=first)
    process = os.fork()
    if process == 0:
        name = "_insert_sources" if moment == "before" else "remove_whoosh"
        setattr(building, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        build_inbox(path, "me", [mail(1), mail(2)], index=second)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert num_found(path, "me") == (1 if moment == "before" else 2)
    build_inbox(path, "me", [mail(1), mail(2), mail(3)], index=second)
    assert num_found(path, "me") == 3
    assert len(whoosh_directories(path, "me")) == (second == "whoosh")


def test_a_failed_build_leaves_no_index_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "me", [mail(1)], index="whoosh")
    monkeypatch.setattr(building, "_insert_sources", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_inbox(path, "me", [mail(2)], index="whoosh")
    assert (len(whoosh_directories(path, "me")), num_found(path, "me")) == (1, 1)


def test_an_import_keeps_the_kind_of_index_and_makes_a_lost_one_again(bench: Bench) -> None:
    import_mail.import_mail([bench.source], bench.mailbox, "me", index="whoosh")
    bench.put("b.mbox", box(plain(7)))
    bench.run()
    assert EmailStore.open(bench.mailbox).info("me").index == "whoosh"
    old = whoosh_directories(bench.mailbox, "me")[0]
    old.rename(old.with_name(old.name[:16]))  # where an older version had it
    bench.run()
    assert num_found(bench.mailbox, "me", "body") == 6


def test_rejects_are_of_one_mailbox_and_inbox_and_no_file_of_the_user_goes(bench: Bench, tmp_path: Path) -> None:
    own = tmp_path / "rejects.jsonl"
    own.write_text("mine\n")
    junk, sound = bench.put("c.png", b"\x89PNG no mail"), bench.source / "a.mbox"
    for inbox in ("me", "you"):
        import_mail.import_mail([bench.source], bench.mailbox, inbox)
    import_mail.import_mail([bench.source], tmp_path / "other.db", "me")
    assert [(row["inbox"], row["path"]) for row in bench.rejects()] == [("me", str(junk)), ("you", str(junk))]
    assert import_mail.import_mail([sound], bench.mailbox, "me").rejects_path is None
    assert [row["inbox"] for row in bench.rejects()] == ["you"]
    forget(bench.mailbox, "you")
    assert bench.rejects() == []
    assert not bench.mailbox.with_name("my.db.rejects.jsonl").exists()
    assert own.read_text() == "mine\n"
    assert (tmp_path / "other.db.rejects.jsonl").exists()


def test_an_import_that_brought_nothing_says_so_in_one_right_sentence(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.source / "a.mbox").unlink()
    bench.put("c.png", b"\x89PNG no mail")
    assert main(["import", str(bench.source), "--mailbox", str(bench.mailbox), "--inbox", "me"]) == ExitCode.REJECTS
    assert "nothing was imported and me is empty; 0." in capsys.readouterr().out


@pytest.mark.parametrize("is_deep", [True, False])
def test_the_doctor_says_what_its_quick_check_does_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_deep: bool
) -> None:
    path = tmp_path / "my.db"
    build_inbox(path, "me", [replace(mail(n), body="secret words") for n in range(60)])
    change(path, "UPDATE mails SET body = CAST(X'736563726574ff' AS TEXT) WHERE id % 16777216 = 30")
    assert main(["doctor", str(path), *(["--full"] if is_deep else [])]) == (ExitCode.CORRUPT if is_deep else 0)
    shown = capsys.readouterr()
    assert "secret" not in shown.out + shown.err
    assert "whole:" not in shown.out
    assert ("inbox me: 1 mails cannot be decoded" in shown.out) == is_deep
    assert ("no damage found by the quick check (--full" in shown.out) != is_deep
    with pytest.raises(CorruptError, match=r"no UTF-8 .*mailsleuth doctor --full"):
        ids(path)


def test_a_mailbox_in_the_folder_that_is_imported_is_no_mail_and_no_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_MAILS", 5)
    bench.mailbox = bench.source / "my.db"
    for number in range(40):
        bench.put(f"{number}.eml", plain(100 + number))
    bench.put("c.png", b"\x89PNG no mail")
    original = Staging.commit

    def stop() -> ExitCode | None:
        return ExitCode.INTERRUPTED if len(committed) > 2 else None

    committed: list[Any] = []
    monkeypatch.setattr(Staging, "commit", lambda self, row: (committed.append(row), original(self, row)))

    with pytest.raises(StoppedError):
        import_mail.import_mail([bench.source], bench.mailbox, "me", stopped=stop)
    first = import_mail.import_mail([bench.source], bench.mailbox, "me")
    (bench.source / "link.db").symlink_to("my.db")
    again = import_mail.import_mail([os.path.relpath(bench.source)], bench.source / "link.db", "me")
    assert (first.is_resumed, first.imported, first.rejected) == (True, 45, 1)
    assert (again.imported, again.rejected) == (0, 1)
