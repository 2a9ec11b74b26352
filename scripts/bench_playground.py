"""Measure the playground: until it is ready, until 50 questions at once are answered, search while typing, a large run.

The page's server runs in a process of its own, as `mailsleuth play` starts it; requests are the page's own, over
loopback. Only with --browser is anything drawn; the page's pause while somebody types is not in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from inbox_env.errors import UsageError
from inbox_env.store import EmailStore
from scripts.bench_mailbox import MailboxSize, ensure_mailbox
from scripts.bench_runs import write_run
from scripts.bench_search import summary
from scripts.playground.static_files import FOLDER

CACHE = Path("data/cache")
_START = "from scripts.cli import main; raise SystemExit(main())"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mails", type=int, default=100_000, help="mails of the mailbox searched (default: 100000)")
    parser.add_argument("--streams", type=int, default=50, help="questions at once (default: 50)")
    parser.add_argument("--rounds", type=int, default=3, help="how often they are asked (default: 3)")
    parser.add_argument("--typed", type=int, default=60, help="queries typed, key by key (default: 60)")
    parser.add_argument("--trajectories", type=int, default=10_000, help="of the run looked into (default: 10000)")
    parser.add_argument("--browser", action="store_true", help="measure in Chromium too (needs playwright)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the measurements and return the exit code."""
    if min(args.mails, args.streams, args.rounds, args.typed, args.trajectories) < 1:
        what = "--mails, --streams, --rounds, --typed and --trajectories are at least 1"
        raise UsageError(96, what, next_step="give larger ones")
    result = measure(args.mails, args.streams, args.rounds, args.typed) | measure_viewer(args.trajectories)
    if args.browser:
        result |= measure_browser(args.mails, args.trajectories)
    if args.json:
        print(json.dumps(result))
        return 0
    for name, value in result.items():
        print(f"{name:28} {json.dumps(value)}")
    return 0


def measure(num_mails: int, num_streams: int, num_rounds: int, num_typed: int) -> dict[str, Any]:
    """Return seconds until ready, milliseconds of first events, of keys and of list pages, and the page's bytes."""
    with _page() as (url, ready_seconds):
        first_ms, num_errors = _streams(url, num_streams, num_rounds)
    mailbox = ensure_mailbox(MailboxSize(num_mails, 1), CACHE)
    with _page("--mailbox", str(mailbox)) as (url, ready_large_seconds):
        keys = {order: summary(list(_keys(url, mailbox, num_typed, order))) for order in ("newest", "relevance")}
        pages = summary(list(_pages(url, mailbox, num_mails)))
    return {
        "ready_seconds": round(ready_seconds, 2),
        "ready_seconds_large_mailbox": round(ready_large_seconds, 2),
        "streams": num_streams,
        "first_event_ms": summary(first_ms),
        "stream_errors": num_errors,
        "mails": num_mails,
        "search_key_ms": keys,
        "list_page_ms": pages,
        "page_bytes": sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()),
    }


def measure_viewer(num_trajectories: int) -> dict[str, Any]:
    """Return seconds from the command until a run's first rows are there, and milliseconds of filters and episodes."""
    import httpx

    run = write_run(CACHE / "bench-run", num_trajectories, CACHE)
    cpu_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _page(str(run), command="view") as (url, _):
        httpx.get(f"{url}/api/runs/0/rows", timeout=60).raise_for_status()
    cpu_seconds = _cpu_seconds(resource.getrusage(resource.RUSAGE_CHILDREN)) - _cpu_seconds(cpu_before)
    started = time.perf_counter()
    with _page(str(run), command="view") as (url, ready_seconds), httpx.Client(base_url=url, timeout=60) as client:
        asked = time.perf_counter()
        first = client.get("/api/runs/0/rows").raise_for_status().json()
        opened, rows_seconds = time.perf_counter() - started, time.perf_counter() - asked
        filters = [_milliseconds(client, "/api/runs/0/rows", wanted) for wanted in _filters(first)]
        where = [{"file": item["file"], "line": item["line"]} for item in first["items"]]
        episodes = [_milliseconds(client, "/api/runs/0/episode", one) for one in where]
    num_bytes = sum(path.stat().st_size for path in (run / "trajectories").iterdir())
    return {
        "trajectories": first["num_all"],
        "bytes_a_trajectory": round(num_bytes / first["num_all"]),
        "run_open_seconds": round(opened, 2),
        "run_open_cpu_seconds": round(cpu_seconds, 2),
        "run_ready_seconds": round(ready_seconds, 2),
        "run_first_rows_ms": round(1000 * rows_seconds, 1),
        "run_filter_ms": summary(filters),
        "run_episode_ms": summary(episodes),
    }


def measure_browser(num_mails: int, num_trajectories: int) -> dict[str, Any]:
    """Return milliseconds in Chromium: the first rows of a mailbox and of a run painted, a filter of the run drawn."""
    from scripts.bench_browser import chromium, filter_ms, first_rows_ms

    mailbox = ensure_mailbox(MailboxSize(num_mails, 1), CACHE)
    run = write_run(CACHE / "bench-run", num_trajectories, CACHE)
    with chromium() as browser:
        with _page("--mailbox", str(mailbox)) as (url, _):
            inbox = first_rows_ms(browser, url)
        with _page(str(run), command="view") as (url, _):
            opened = first_rows_ms(browser, url, rounds=1)["p50"]
            return {
                "browser_inbox_first_rows_ms": inbox,
                "browser_run_first_rows_ms": opened,
                "browser_run_again_ms": first_rows_ms(browser, url),
                "browser_run_filter_ms": filter_ms(browser, url),
            }


def _cpu_seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _filters(first: dict[str, Any], rounds: int = 4) -> Iterator[dict[str, Any]]:
    """Yield every value of every facet, alone and with words, at every level and in every order."""
    words = [item["question"].split()[-1].strip("?.") for item in first["items"]]
    chosen = [{name: value} for name, values in first["facets"].items() for value in values if value]
    for number in range(rounds):
        for one in chosen:
            for level in ("episodes", "groups", "steps"):
                yield {**one, "level": level}
            yield {**one, "q": words[number % len(words)]}
            yield {**one, "order": ("best", "worst")[number % 2]}


@contextmanager
def _page(*options: str, command: str = "play") -> Iterator[tuple[str, float]]:
    """Yield the address of a page and how long it took until it answered."""
    import httpx

    started = time.perf_counter()
    words = [sys.executable, "-c", _START, command, "--no-browser", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  # our own command
        try:
            line = server.stdout.readline() if server.stdout else ""
            url = next((word.rstrip("/") for word in line.split() if word.startswith("http")), "")
            if not url:
                raise UsageError(97, "the playground did not start", next_step=f"run `mailsleuth {command}` to see why")
            httpx.get(f"{url}/").raise_for_status()
            yield url, time.perf_counter() - started
        finally:
            server.terminate()


def _streams(url: str, num_streams: int, num_rounds: int) -> tuple[list[float], int]:
    """Return the milliseconds until each question's first event, and how many got no score."""
    import httpx

    inbox = httpx.get(f"{url}/api/ask/start").json()["inboxes"][0]["name"]
    asked = httpx.get(f"{url}/api/ask/questions", params={"inbox": inbox}).json()["questions"]
    names = [question["id"] for question in asked]
    random, first_ms, num_errors = Random(0), list[float](), 0

    async def ask(client: httpx.AsyncClient, name: str) -> tuple[float, bool]:
        started, first, is_scored = time.perf_counter(), 0.0, False
        request = {"inbox": inbox, "question_id": name, "policy": "keywords-retry"}
        async with client.stream("POST", f"{url}/api/ask/play", json=request) as answer:
            async for line in answer.aiter_lines():
                first = first or time.perf_counter() - started
                is_scored = is_scored or line == "event: score"
        return 1000 * first, is_scored

    async def ask_all() -> list[tuple[float, bool]]:
        limits = httpx.Limits(max_connections=num_streams)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            return await asyncio.gather(*(ask(client, random.choice(names)) for _ in range(num_streams)))

    for _ in range(num_rounds):
        for milliseconds, is_scored in asyncio.run(ask_all()):
            first_ms.append(milliseconds)
            num_errors += not is_scored
    return first_ms, num_errors


def _keys(url: str, mailbox: Path, num_typed: int, order: str) -> Iterator[float]:
    """Yield the milliseconds of the request after each key of queries of one or two words of a mail."""
    import httpx

    store, random = EmailStore.open(mailbox), Random(1)
    name = store.inboxes()[0].name
    with httpx.Client() as client:
        for _ in range(num_typed):
            stored = store.read(name, random.randint(1, store.info(name).num_emails), None)
            words = stored.email.body.split() if stored else []
            typed = " ".join(random.sample(words, min(2, len(words))))
            for end in range(1, len(typed) + 1):
                params = {"inbox": name, "q": typed[:end], "order": order}
                yield _milliseconds(client, f"{url}/api/mails", params)
    store.close()


def _pages(url: str, mailbox: Path, num_mails: int, count: int = 200) -> Iterator[float]:
    """Yield the milliseconds of pages of the list, as scrolling asks for them."""
    import httpx

    store, random = EmailStore.open(mailbox), Random(2)
    name = store.inboxes()[0].name
    store.close()
    with httpx.Client() as client:
        for _ in range(count):
            page = random.randint(1, max(1, num_mails // 50))
            yield _milliseconds(client, f"{url}/api/mails", {"inbox": name, "page": page})


def _milliseconds(client: Any, url: str, params: dict[str, Any]) -> float:
    started = time.perf_counter()
    client.get(url, params=params).raise_for_status()
    return 1000 * (time.perf_counter() - started)
