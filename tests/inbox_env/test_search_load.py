"""Many searches at once: no errors, enough of them, and nothing left open afterwards."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from inbox_env.errors import ResourceError
from inbox_env.inbox import Inbox
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore, build_inbox
from inbox_env.upkeep.forgetting import forget
from scripts.bench_mailbox import MailboxSize, MailWriter, ensure_mailbox
from scripts.bench_queries import draw_queries
from scripts.bench_read import search_at_once


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_mailbox(MailboxSize(600, 3), tmp_path_factory.mktemp("mail"))


def test_64_threads_search_without_an_error(mailbox: Path) -> None:
    store = EmailStore.open(mailbox)
    asked = draw_queries(store, [info.name for info in store.inboxes()], 42)
    figures = search_at_once(store, asked, num_threads=64, num_searches=1280)
    store.close()
    assert figures["errors"] == 0
    assert figures["searches_per_cpu_second"] > 500


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_opening_and_closing_leaves_no_file_and_no_thread(mailbox: Path) -> None:
    def use() -> None:
        inbox = Inbox.open(mailbox, "inbox001")
        thread = threading.Thread(target=inbox.search, args=(SearchQuery(("a",)),), kwargs={"as_of": None})
        thread.start()
        thread.join()
        inbox.search(SearchQuery(("a",)), as_of=None)
        inbox.close()

    def num_open() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    use()
    before = num_open()
    for _ in range(50):
        use()
    assert num_open() == before


def test_who_has_a_mailbox_open_reads_on_while_an_inbox_is_forgotten(mailbox: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    shutil.copy(mailbox, path)
    reader = EmailStore.open(path)
    before = list(reader.emails("inbox001"))
    assert forget(path, "inbox000").found_after == 0
    assert forget(path, "inbox002").found_after == 0
    assert list(reader.emails("inbox001")) == before
    assert [info.name for info in EmailStore.open(path).inboxes()] == ["inbox001"]
    assert [file.name for file in tmp_path.iterdir()] == ["m.db"]


@pytest.mark.parametrize("change", ["import", "forget"])
def test_an_inbox_that_changed_while_it_was_open_says_so_and_others_go_on(tmp_path: Path, change: str) -> None:
    path = tmp_path / "m.db"
    writer = MailWriter(MailboxSize(600, 3))
    for number, name in enumerate(("one", "two")):
        build_inbox(path, name, writer.mails(number), owner=writer.owner(number))
    store = EmailStore.open(path)
    one, two = Inbox(store, "one"), Inbox(store, "two")
    query = SearchQuery((), to_addr="owner001")
    before = two.search(query, as_of=None), two.read(3, as_of=None)
    if change == "import":
        build_inbox(path, "one", writer.mails(2))
    else:
        forget(path, "one")
    for _ in range(2):
        with pytest.raises(ResourceError, match="'one' was changed while it was open"):
            one.search(query, as_of=None)
        with pytest.raises(ResourceError, match="open it again"):
            one.read(1, as_of=None)
    assert (two.search(query, as_of=None), two.read(3, as_of=None)) == before
    assert before[0].num_matches > 0


def test_a_mailbox_that_was_deleted_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    build_inbox(path, "me", MailWriter(MailboxSize(100, 1)).mails(0))
    inbox = Inbox.open(path, "me")
    path.unlink()
    assert inbox.read(1, as_of=None) is not None
