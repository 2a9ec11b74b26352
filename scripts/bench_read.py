"""Measure reading mails, opening a mailbox, and many searches at once, on a large mailbox.

Every part works on the mailbox of `bench-system search`, or on one of your own. Times are of the CPU and of the wall.
Reading a mail by its Message-ID is compared, in turns, with ART-E's tables and with the standard library's `mailbox`
on an mbox of each inbox; all must give the same.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from inbox_env.actions import ToolCall
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore
from inbox_env.tools import Toolbox
from scripts.bench_arte import build_arte
from scripts.bench_mailbox import size_in_mb
from scripts.bench_queries import Asked, draw_queries
from scripts.bench_readers import ArteReader, MailboxReader, OwnReader, Reader, ReadMail, build_mbox
from scripts.bench_search import add_mailbox_arguments, find_mailbox, summary

NUM_INBOXES_ASKED = 20
NUM_OPENED = 15
OWN = "mailsleuth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_mailbox_arguments(parser)
    parser.add_argument("--reads", type=int, default=2000, help="mails that are read (default 2000)")
    parser.add_argument("--threads", type=int, default=64, help="threads that search at once (default 64)")
    parser.add_argument("--searches", type=int, default=6400, help="searches of all threads together (default 6400)")
    parser.add_argument("--alone", action="store_true", help="without comparison: nothing else is built")
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
        "open": _open(mailbox, asked),
        "read": _read(store, names, args.reads),
        "at_once": {
            f"{threads} threads": search_at_once(store, asked, threads, args.searches) for threads in (1, args.threads)
        },
    }
    store.close()
    if not args.alone:
        report["compared"] = _compare(mailbox, names, args.cache, args.reads)
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


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the CPU time and the wall time of a call, in ms, and what it gave."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    given = call()
    return (time.process_time_ns() - cpu) / 1e6, (time.perf_counter_ns() - wall) / 1e6, given


def _times(pairs: Sequence[tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {"cpu_ms": summary([pair[0] for pair in pairs]), "wall_ms": summary([pair[1] for pair in pairs])}


def _open(mailbox: Path, asked: list[Asked]) -> dict[str, Any]:
    """Return the times of opening and checking the file with one inbox; then also of a search and a read."""
    opened, used = [], []
    for one in asked[:NUM_OPENED]:
        cpu, wall, inbox = timed(partial(Inbox.open, mailbox, one.inbox))
        more_cpu, more_wall, _ = timed(partial(_search_and_read, inbox, one))
        opened.append((cpu, wall))
        used.append((cpu + more_cpu, wall + more_wall))
        inbox.close()
    return {"open": _times(opened), "open, search and read": _times(used)}


def _search_and_read(inbox: Inbox, one: Asked) -> None:
    hits = inbox.search(SearchQuery(one.query.keywords), as_of=None).hits
    inbox.read(hits[0].number, as_of=None)


def _read(store: EmailStore, names: list[str], num_reads: int) -> dict[str, Any]:
    """Return the times of a mail's retrieval, and of the tool from arguments to text."""
    random = Random(0)
    boxes = [Toolbox(Inbox(store, name), None, ResultStyle(show_thread=True)) for name in names]
    picked = [(box, random.randint(1, box.inbox.num_emails)) for box in random.choices(boxes, k=num_reads)]
    retrieved, shown = [], []
    for is_timed in (False, True):
        for box, number in picked:
            mail = timed(partial(box.inbox.read, number, as_of=None))
            tool = timed(partial(box.execute, ToolCall("read_email", {"id": number})))
            if is_timed:
                retrieved.append(mail[:2])
                shown.append(tool[:2])
    return {"mail": _times(retrieved), "read_email tool": _times(shown)}


def _compare(mailbox: Path, names: list[str], cache: Path, num_reads: int) -> dict[str, Any]:
    """Return the times by reader of opening one inbox and reading one of its mails, in turns, and their ratios.

    Of every mail the same is wanted: sender, recipients, subject and text, by its Message-ID.
    """
    arte = build_arte(mailbox, cache / f"{mailbox.stem}-arte.db")
    mboxes = {name: build_mbox(mailbox, name, cache) for name in names}
    makers: dict[str, Callable[[str], Reader]] = {
        OWN: lambda name: OwnReader(mailbox, name),
        "arte": lambda _: ArteReader(arte),
        "stdlib mailbox": lambda name: MailboxReader(*mboxes[name]),
    }
    random = Random(0)
    report: dict[str, Any] = {"readers": {reader: {"open": [], "read": []} for reader in makers}, "same": 0, "reads": 0}
    for name in names:
        picked = random.choices(list(mboxes[name][1]), k=max(1, num_reads // len(names)))
        readers = report["readers"]
        seen = [_visit(readers[reader], partial(maker, name), picked) for reader, maker in makers.items()]
        report["reads"] += len(picked)
        report["same"] += sum(len(set(mails)) == 1 for mails in zip(*seen, strict=True))
    for figures in report["readers"].values():
        figures.update({what: _times(figures[what]) for what in ("open", "read")})
    own = report["readers"][OWN]
    for reader, figures in report["readers"].items():
        if reader != OWN:
            figures["ratio"] = {
                f"{what} {name}": round(figures[what]["cpu_ms"][name] / own[what]["cpu_ms"][name], 2)
                for what in ("open", "read")
                for name in ("mean", "p50", "p95")
            }
    return report


def _visit(times: dict[str, Any], make: Callable[[], Reader], picked: list[str]) -> list[ReadMail]:
    """Open, read each mail twice, of which the second counts, and return the mails."""
    cpu, wall, reader = timed(make)
    times["open"].append((cpu, wall))
    mails = []
    for is_timed in (False, True):
        for message_id in picked:
            cpu, wall, mail = timed(partial(reader.read, message_id))
            if is_timed:
                times["read"].append((cpu, wall))
                mails.append(mail)
    reader.close()
    return mails
