"""Measure reading mails, opening a mailbox, and many searches at once, on a large mailbox.

Every part works on the mailbox of `bench-system search`, or on one of your own. Times are of the CPU unless said.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from inbox_env.actions import ToolCall
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore
from inbox_env.tools import Toolbox
from scripts.bench_mailbox import size_in_mb
from scripts.bench_queries import Asked, draw_queries
from scripts.bench_search import add_mailbox_arguments, find_mailbox, summary

NUM_INBOXES_ASKED = 20
NUM_OPENED = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_mailbox_arguments(parser)
    parser.add_argument("--reads", type=int, default=2000, help="mails that are read (default 2000)")
    parser.add_argument("--threads", type=int, default=64, help="threads that search at once (default 64)")
    parser.add_argument("--searches", type=int, default=6400, help="searches of all threads together (default 6400)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the measurements and print them."""
    mailbox = find_mailbox(args)
    store = EmailStore.open(mailbox)
    infos = store.inboxes()
    names = [info.name for info in infos if info.num_emails][:: max(1, len(infos) // NUM_INBOXES_ASKED)]
    asked = draw_queries(store, names, 280)
    report: dict[str, Any] = {
        "mails": sum(info.num_emails for info in infos),
        "inboxes": len(infos),
        "disk_mb": size_in_mb(mailbox),
        "open_ms": _open(mailbox, asked),
        "read_ms": _read(store, names, args.reads),
        "at_once": {
            f"{threads} threads": search_at_once(store, asked, threads, args.searches) for threads in (1, args.threads)
        },
    }
    store.close()
    print(json.dumps(report) if args.json else "\n".join(f"{name}: {value}" for name, value in report.items()))
    return 0


def search_at_once(store: EmailStore, asked: list[Asked], num_threads: int, num_searches: int) -> dict[str, Any]:
    """Return searches per second of wall time and of CPU time, with threads that share one store, and the errors."""
    inboxes = {name: Inbox(store, name) for name in {one.inbox for one in asked}}
    errors: list[str] = []
    start = threading.Barrier(num_threads + 1)

    def work(seed: int) -> None:
        order = Random(seed)
        mine = [order.choice(asked) for _ in range(num_searches // num_threads)]
        inboxes[mine[0].inbox].search(mine[0].query, as_of=None)  # opens this thread's connection
        start.wait()
        for one in mine:
            try:
                inboxes[one.inbox].search(one.query, as_of=None)
            except Exception as error:
                errors.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(num_threads)]
    for thread in threads:
        thread.start()
    start.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    done = num_searches // num_threads * num_threads
    return {
        "searches_per_second": round(done / (time.perf_counter() - wall)),
        "searches_per_cpu_second": round(done / (time.process_time() - cpu)),
        "errors": len(errors),
    }


def _open(mailbox: Path, asked: list[Asked]) -> dict[str, Any]:
    """Return wall times in ms: the file opened and checked with one inbox; then also searched and read once."""
    opened, used = [], []
    for one in asked[:NUM_OPENED]:
        start = time.perf_counter()
        inbox = Inbox.open(mailbox, one.inbox)
        opened.append((time.perf_counter() - start) * 1000)
        hits = inbox.search(SearchQuery(one.query.keywords), as_of=None).hits
        inbox.read(hits[0].number, as_of=None)
        used.append((time.perf_counter() - start) * 1000)
        inbox.close()
    return {"open": summary(opened), "open, search and read": summary(used)}


def _read(store: EmailStore, names: list[str], num_reads: int) -> dict[str, Any]:
    """Return CPU times in ms of a mail's retrieval, and of the tool from arguments to text."""
    random = Random(0)
    boxes = [Toolbox(Inbox(store, name), None, ResultStyle(show_thread=True)) for name in names]
    picked = [(box, random.randint(1, box.inbox.num_emails)) for box in random.choices(boxes, k=num_reads)]
    retrieved, shown = [], []
    for is_timed in (False, True):
        for box, number in picked:
            start = time.process_time_ns()
            box.inbox.read(number, as_of=None)
            middle = time.process_time_ns()
            box.execute(ToolCall("read_email", {"id": number}))
            if is_timed:
                retrieved.append((middle - start) / 1e6)
                shown.append((time.process_time_ns() - middle) / 1e6)
    return {"mail": summary(retrieved), "read_email tool": summary(shown)}
