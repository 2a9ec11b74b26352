"""Many searches at once: no errors, enough of them, and nothing left open afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from inbox_env.inbox import Inbox
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore
from scripts.bench_mailbox import MailboxSize, ensure_mailbox
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
