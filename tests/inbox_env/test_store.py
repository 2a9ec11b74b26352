"""The store keeps what it is given, builds whole inboxes or nothing, and opens only sound files."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.database import QueryTooSlow, read_only_uri
from inbox_env.emails import Address, Attachment, Email
from inbox_env.errors import CorruptError, MailsleuthError, ResourceError, UsageError
from inbox_env.store import EmailStore, build_inbox

ANN = Address("Ann", "ann@example.org")
START = datetime(2001, 5, 1, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
addresses = st.builds(Address, name=texts, email=texts)
people = st.lists(addresses, max_size=3).map(tuple)
words = st.lists(texts, max_size=3).map(tuple)
emails = st.builds(
    Email,
    message_id=texts,
    date=st.none() | st.datetimes(timezones=st.just(UTC)),
    sender=addresses,
    to=people,
    subject=texts,
    body=texts,
    cc=people,
    bcc=people,
    in_reply_to=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    references=words,
    folders=words,
    attachments=st.lists(st.builds(Attachment, texts, texts, st.integers(0, 2**40)), max_size=2).map(tuple),
    defects=words,
    aliases=words,
)


def mail(number: int, body: str = "", day: int | None = None, message_id: str = "") -> Email:
    date = START + timedelta(days=number if day is None else day)
    return Email(message_id or f"<{number}@x>", date, ANN, (), f"Subject {number}", body or f"body {number}")


def all_emails(path: Path, inbox: str) -> list[Email]:
    store = EmailStore.open(path)
    try:
        return [stored.email for stored in store.emails(inbox)]
    finally:
        store.close()


def undated_first(email: Email) -> tuple[bool, datetime, bytes]:
    return email.date is not None, email.date or START, email.message_id.encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(emails, max_size=6, unique_by=lambda email: email.message_id))
def test_what_is_stored_is_read_back_in_date_order(given_emails: list[Email]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.db"
        assert build_inbox(path, "me", given_emails) == len(given_emails)
        assert all_emails(path, "me") == sorted(given_emails, key=undated_first)


def test_numbers_are_date_ranks_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    mails = [mail(number) for number in range(30)]
    Random(0).shuffle(mails)
    build_inbox(tmp_path / "m.db", "me", mails)
    store = EmailStore.open(tmp_path / "m.db")
    numbers = {stored.email.message_id: stored.number for stored in store.emails("me")}
    assert numbers == {f"<{number}@x>": number + 1 for number in range(30)}


def test_a_mail_is_read_by_number_and_by_message_id(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(1), mail(2)])
    store = EmailStore.open(tmp_path / "m.db")
    by_number, by_id = store.read("me", 2, None), store.read("me", "<2@x>", None)
    assert by_number is not None
    assert by_number == by_id
    assert by_number.email == mail(2)


@pytest.mark.parametrize("ref", [0, -1, 3, 2**24, 2**24 + 1, 2**70, "", "<3@x>", "<1@X>", "%3C1@x%3E", "a\x00b"])
def test_a_reference_to_nothing_reads_nothing(tmp_path: Path, ref: int | str) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(1), mail(2)])
    build_inbox(tmp_path / "m.db", "you", [mail(3)])
    assert EmailStore.open(tmp_path / "m.db").read("me", ref, None) is None


def test_as_of_hides_later_and_undated_mail(tmp_path: Path) -> None:
    undated = Email("<u@x>", None, ANN, (), "no date", "")
    build_inbox(tmp_path / "m.db", "me", [mail(1), mail(2), undated])
    store = EmailStore.open(tmp_path / "m.db")
    seen = [store.read("me", number, START + timedelta(days=1)) for number in (1, 2, 3)]
    assert [stored and stored.email.message_id for stored in seen] == [None, "<1@x>", None]
    unbound = store.read("me", 1, None)
    assert unbound is not None
    assert unbound.email == undated


def test_mails_that_share_a_message_id_are_all_kept_under_stable_ids(tmp_path: Path) -> None:
    twins = [mail(1, "one", 1, "<same>"), mail(2, "two", 1, "<same>"), mail(3, "x", 2, "<same>#2"), mail(4, "y", 3)]
    kept = []
    for place, order in enumerate((twins, twins[::-1])):
        build_inbox(tmp_path / f"{place}.db", "me", order)
        kept.append({email.message_id: email.body for email in all_emails(tmp_path / f"{place}.db", "me")})
    assert kept[0] == kept[1]
    assert sorted(kept[0].values()) == ["one", "two", "x", "y"]
    assert kept[0]["<same>"] == "one"


def test_the_message_id_of_a_folded_copy_finds_the_mail(tmp_path: Path) -> None:
    copied = replace(mail(1), aliases=("<a@x>", "<2@x>"))
    build_inbox(tmp_path / "m.db", "me", [copied, mail(2)])
    build_inbox(tmp_path / "m.db", "you", [mail(3)])
    store = EmailStore.open(tmp_path / "m.db")
    found = [store.read(*args) for args in (("me", "<a@x>", None), ("me", "<2@x>", None), ("you", "<a@x>", None))]
    assert [stored and stored.email for stored in found] == [copied, mail(2), None]
    assert store.read("me", "<a@x>", START) is None
    build_inbox(tmp_path / "m.db", "me", [mail(1)])
    assert EmailStore.open(tmp_path / "m.db").read("me", "<a@x>", None) is None


def test_a_thread_is_shown_from_any_of_its_mails_as_far_as_it_is_visible(tmp_path: Path) -> None:
    replies = [replace(mail(n), in_reply_to=f"<{n - 1}@x>") for n in (2, 3)]
    build_inbox(tmp_path / "m.db", "me", [mail(1), *replies, mail(4), replace(mail(5), references=("<9@x>",))])
    build_inbox(tmp_path / "m.db", "you", [replace(mail(6), in_reply_to="<1@x>"), mail(7)])
    store = EmailStore.open(tmp_path / "m.db")
    assert [store.thread("me", number, None) for number in range(7)] == [
        *((), (1, 2, 3), (1, 2, 3), (1, 2, 3), (4,), (5,), ())
    ]
    assert store.thread("me", 1, START + timedelta(days=2)) == (1, 2)
    assert store.thread("me", 3, START + timedelta(days=2)) == ()
    assert store.thread("you", 1, None) == (1,)


def test_text_that_no_file_can_hold_is_replaced(tmp_path: Path) -> None:
    odd = replace(mail(1, "a\udcffb\x00c"), to=(Address("\udcff", "\udcfe@x"),), folders=("\udcff",))
    build_inbox(tmp_path / "m.db", "me", [odd], owner=Address("\udcff", ""))
    kept = all_emails(tmp_path / "m.db", "me")[0]
    assert (kept.body, kept.to, kept.folders) == ("a?b\x00c", (Address("?", "?@x"),), ("?",))


def test_building_an_inbox_leaves_the_others_untouched(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "one", [mail(1), mail(2)], owner=ANN)
    build_inbox(path, "two", [mail(3)])
    build_inbox(path, "one", [mail(4)])
    infos = {info.name: (info.num_emails, info.owner.email, info.index) for info in EmailStore.open(path).inboxes()}
    assert infos == {"one": (1, "", "fts5"), "two": (1, "", "fts5")}
    assert all_emails(path, "one") == [mail(4)]
    assert all_emails(path, "two") == [mail(3)]


def test_an_inbox_knows_its_size_and_dates(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(1), mail(5), Email("<u>", None, ANN, (), "", "")], owner=ANN)
    info = EmailStore.open(tmp_path / "m.db").info("me")
    assert (info.num_emails, info.owner) == (3, ANN)
    assert (info.first_date, info.last_date) == (mail(1).date, mail(5).date)


@pytest.mark.parametrize("index", ["fts5", "whoosh"])
def test_an_empty_inbox_is_an_inbox(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert build_inbox(tmp_path / "m.db", "me", [], index=index) == 0
    assert all_emails(tmp_path / "m.db", "me") == []


def failing(mails: list[Email]) -> Iterator[Email]:
    yield from mails
    raise RuntimeError("the reader broke")


def test_a_failed_build_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with pytest.raises(RuntimeError):
        build_inbox(path, "me", failing([mail(1)]))
    assert list(tmp_path.iterdir()) == []
    build_inbox(path, "me", [mail(1)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        build_inbox(path, "me", failing([mail(2)]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, just a text file that is long enough " * 20)
    for place in (tmp_path, tmp_path / "absent" / "m.db"):
        with pytest.raises(UsageError):
            build_inbox(place, "me", [mail(1)])
    with pytest.raises(CorruptError):
        build_inbox(tmp_path / "text.db", "me", [mail(1)])
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]


def test_a_foreign_database_is_not_built_into(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "m.db").execute("CREATE TABLE notes (text)").connection.close()
    with pytest.raises(CorruptError, match="not a mailbox"):
        build_inbox(tmp_path / "m.db", "me", [mail(1)])


def test_a_locked_mailbox_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "me", [mail(1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, timeout=0.01, **options))
    with pytest.raises(ResourceError, match="locked"):
        build_inbox(path, "me", [mail(2)])
    other.close()
    assert all_emails(path, "me") == [mail(1)]


def test_what_is_no_mailbox_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such mailbox file"):
        EmailStore.open(tmp_path / "absent.db")
    with pytest.raises(UsageError):
        EmailStore.open(tmp_path)
    for name, content in (("empty.db", b""), ("text.db", b"From ann@example.org\n" * 400)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorruptError, match="not a mailsleuth mailbox"):
            EmailStore.open(tmp_path / name)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(1)])
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("UPDATE mailsleuth_schema SET version = 99")
    connection.close()
    with pytest.raises(CorruptError, match="99"):
        EmailStore.open(tmp_path / "m.db")


def test_an_unknown_inbox_names_up_to_five_that_exist(tmp_path: Path) -> None:
    for name in "abcdefg":
        build_inbox(tmp_path / "m.db", name, [mail(1)])
    with pytest.raises(UsageError, match=r"no inbox 'z'.*a, b, c, d, e, \.\.\.$"):
        EmailStore.open(tmp_path / "m.db").info("z")


def test_damage_gives_right_mail_or_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "me", [mail(number, f"body {number} " * 50) for number in range(60)])
    whole, random = path.read_bytes(), Random(1)
    refused = []
    for _ in range(50):
        damaged = bytearray(whole)
        for _ in range(64):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(damaged)
        try:
            all_emails(path, "me")
        except MailsleuthError as error:
            refused.append(error.line())
    assert len(refused) > 10
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptError):
        all_emails(path, "me")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO inboxes (name) VALUES ('x')",
        "UPDATE mails SET body = ''",
        "DELETE FROM mails",
        "DROP TABLE mails",
        "CREATE TABLE t (x)",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = ''",
        "VACUUM",
    ],
)
def test_an_opened_mailbox_can_only_be_read(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "me", [mail(1)])
    before = path.read_bytes()
    store = EmailStore.open(path)
    with pytest.raises(CorruptError):
        store.database.rows(statement)
    store.close()
    assert path.read_bytes() == before


def test_a_file_with_a_journal_beside_it_is_not_taken_for_immutable(tmp_path: Path) -> None:
    path = tmp_path / "odd ?name#.db"
    build_inbox(path, "me", [mail(1)])
    assert read_only_uri(path).endswith("?mode=ro&immutable=1")
    assert all_emails(path, "me") == [mail(1)]
    path.with_name(path.name + "-wal").touch()
    assert read_only_uri(path).endswith("?mode=ro")
    assert all_emails(path, "me") == [mail(1)]


def test_a_slow_query_stops_at_its_limit(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(number) for number in range(300)])
    store = EmailStore.open(tmp_path / "m.db")
    store.database.limit_seconds = 0.05
    with pytest.raises(QueryTooSlow):
        store.database.rows("SELECT count(*) FROM mails a, mails b, mails c WHERE abs(a.id + b.id + c.id) < 0")
    assert store.read("me", 1, None) is not None


def test_threads_read_the_same_store_at_once(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(number) for number in range(50)])
    store = EmailStore.open(tmp_path / "m.db")
    seen: list[bool] = []

    def read_all() -> None:
        stored = [store.read("me", number, None) for number in range(1, 51)]
        seen.append([s.email for s in stored if s] == [mail(number) for number in range(50)])

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 8
    store.close()
    with pytest.raises(RuntimeError):
        store.read("me", 1, None)
