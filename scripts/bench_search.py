"""Measure searches: this project's index against ART-E's SQL, tantivy and Whoosh, on the same mails and queries.

A mailbox of invented mail is made once and kept in the cache folder, or an own mailbox is given by path. Every
engine answers every query once before it is timed; fast engines take turns for some rounds, and a query's median
counts. The newest ten Message-IDs are compared.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from inbox_env.emails import Email
from inbox_env.store import EmailStore
from scripts.bench_arte import ArteEngine, build_arte
from scripts.bench_engines import (
    Engine,
    OwnEngine,
    TantivyEngine,
    ToolEngine,
    build_tantivy,
    build_whoosh_mailbox,
)
from scripts.bench_mailbox import MailboxSize, ensure_mailbox, ensure_subset, size_in_mb
from scripts.bench_queries import Asked, draw_queries

COMPETITORS = ("arte", "tantivy", "whoosh", "subset")
MAX_WHOOSH_MAILS = 12_500
NUM_INBOXES_ASKED = 40
FAST_ROUNDS = 5
OWN = "mailsleuth newest"


@dataclass(frozen=True, slots=True)
class Timing:
    """What one engine took for each query, in ms, and what it found."""

    cpu_ms: list[float]
    wall_ms: list[float]
    found: list[tuple[str, ...]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_mailbox_arguments(parser)
    parser.add_argument("--queries", type=int, default=840, help="queries in all, about (default 840)")
    parser.add_argument("--without", action="append", default=[], choices=COMPETITORS, help="leave out a comparison")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_mailbox_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which mailbox is measured."""
    parser.add_argument("--mails", type=int, default=500_000, help="mails that are invented (default 500000)")
    parser.add_argument("--inboxes", type=int, default=150, help="inboxes they are in (default 150)")
    parser.add_argument("--mailbox", type=Path, help="a mailbox of your own instead")
    default = Path(tempfile.gettempdir()) / "mailsleuth-bench"
    parser.add_argument("--cache", type=Path, default=default, help=f"folder that keeps what is built ({default})")


def find_mailbox(args: argparse.Namespace) -> Path:
    """Return the mailbox that the arguments name, built when it is not there yet."""
    mailbox: Path | None = args.mailbox
    return mailbox or ensure_mailbox(MailboxSize(args.mails, args.inboxes), args.cache)


def run(args: argparse.Namespace) -> int:
    """Run the comparison and print it."""
    mailbox = find_mailbox(args)
    store = EmailStore.open(mailbox)
    infos = store.inboxes()
    subset = [info.name for info in infos[: max(1, len(infos) // 10)]]
    others = [info.name for info in infos[len(subset) :]]
    asked_inboxes = subset + others[:: max(1, len(others) // max(1, NUM_INBOXES_ASKED - len(subset)))]
    asked = draw_queries(store, asked_inboxes, args.queries)
    owners = {info.name: info.owner.email for info in infos}
    chosen = _first_inboxes(store, asked)
    store.close()
    report: dict[str, Any] = {
        "mails": sum(info.num_emails for info in infos),
        "inboxes": len(infos),
        "queries": len(asked),
        "sqlite": sqlite3.sqlite_version,
        "disk_mb": {"mailsleuth": size_in_mb(mailbox)},
        "engines": {},
        "same_ids": {},
    }
    _compare(args, mailbox, asked, owners, report)
    if "whoosh" not in args.without:
        _compare_whoosh(mailbox, chosen, asked, args.cache, report)
    if "subset" not in args.without and len(subset) < len(infos):
        _compare_subset(mailbox, subset, asked, args.cache, report)
    print(json.dumps(report) if args.json else "\n".join(_lines(report)))
    return 0


def time_queries(engines: dict[str, Engine], asked: Sequence[Asked], rounds: int) -> dict[str, Timing]:
    """Return for each engine the median times of each query; all are asked once before, so that files are warm."""
    for engine in engines.values():
        for one in asked:
            engine.search(one.inbox, one.query)
    passes: dict[str, list[list[tuple[int, int]]]] = {name: [] for name in engines}
    found: dict[str, list[tuple[str, ...]]] = {}
    for _ in range(rounds):
        for name, engine in engines.items():
            times, found[name] = [], []
            for one in asked:
                wall, cpu = time.perf_counter_ns(), time.process_time_ns()
                ids = engine.search(one.inbox, one.query)
                times.append((time.process_time_ns() - cpu, time.perf_counter_ns() - wall))
                found[name].append(ids)
            passes[name].append(times)
    return {name: Timing(_medians(passes[name], 0), _medians(passes[name], 1), found[name]) for name in engines}


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return mean and percentiles in the unit of the values."""
    ranked = sorted(values)
    at = {f"p{share}": ranked[min(len(ranked) - 1, len(ranked) * share // 100)] for share in (50, 95, 99)}
    return {name: round(value, 4) for name, value in ({"mean": statistics.fmean(values)} | at).items()}


def _medians(passes: Sequence[Sequence[tuple[int, int]]], which: int) -> list[float]:
    return [statistics.median(times[which] for times in query) / 1e6 for query in zip(*passes, strict=True)]


def _note(report: dict[str, Any], name: str, timing: Timing, asked: Sequence[Asked]) -> None:
    by_kind = {
        kind: summary([ms for ms, one in zip(timing.cpu_ms, asked, strict=True) if one.kind == kind])
        for kind in dict.fromkeys(one.kind for one in asked)
    }
    figures = {"cpu_ms": summary(timing.cpu_ms), "wall_ms": summary(timing.wall_ms), "cpu_ms_by_kind": by_kind}
    report["engines"][name] = figures


def _compare(
    args: argparse.Namespace, mailbox: Path, asked: Sequence[Asked], owners: dict[str, str], report: dict[str, Any]
) -> None:
    """Measure all engines that search the whole mailbox, and say how often the others found the same."""
    fast: dict[str, Engine] = {
        OWN: OwnEngine(mailbox, "newest"),
        "mailsleuth relevance": OwnEngine(mailbox, "relevance"),
        "search_emails tool": ToolEngine(mailbox, "relevance"),
    }
    if "tantivy" not in args.without:
        folder = build_tantivy(mailbox, args.cache / f"{mailbox.stem}-tantivy")
        report["disk_mb"]["tantivy"] = size_in_mb(folder)
        fast["tantivy"] = TantivyEngine(folder)
    timings = time_queries(fast, asked, FAST_ROUNDS)
    if "arte" not in args.without:
        path = build_arte(mailbox, args.cache / f"{mailbox.stem}-arte.db")
        report["disk_mb"]["arte"] = size_in_mb(path)
        timings |= time_queries({"arte": ArteEngine(path, owners)}, asked, 1)
    for name, timing in timings.items():
        _note(report, name, timing, asked)
        if name in COMPETITORS:
            report["same_ids"][name] = _sameness(mailbox, asked, timing.found, timings[OWN].found)
            report["engines"][name]["ratio"] = _ratios(report["engines"][name], report["engines"][OWN])


def _first_inboxes(store: EmailStore, asked: Sequence[Asked]) -> list[str]:
    """Return the first inboxes that Whoosh can index in a few minutes."""
    chosen: list[str] = []
    total = 0
    for inbox in dict.fromkeys(one.inbox for one in asked):
        total += store.info(inbox).num_emails
        if chosen and total > MAX_WHOOSH_MAILS:
            break
        chosen.append(inbox)
    return chosen


def _compare_whoosh(
    mailbox: Path, chosen: list[str], asked: Sequence[Asked], cache: Path, report: dict[str, Any]
) -> None:
    """Measure Whoosh beside the own index on the inboxes that both have."""
    some = [one for one in asked if one.inbox in chosen]
    path = build_whoosh_mailbox(mailbox, chosen, cache / f"{mailbox.stem}-whoosh-{len(chosen)}")
    engines: dict[str, Engine] = {"whoosh": OwnEngine(path, "newest"), "beside whoosh": OwnEngine(mailbox, "newest")}
    timings = time_queries(engines, some, 1)
    for name, timing in timings.items():
        _note(report, name, timing, some)
        report["engines"][name]["inboxes"] = len(chosen)
    found, expected = timings["whoosh"].found, timings["beside whoosh"].found
    report["same_ids"]["whoosh"] = _sameness(mailbox, some, found, expected)


def _compare_subset(
    mailbox: Path, subset: list[str], asked: Sequence[Asked], cache: Path, report: dict[str, Any]
) -> None:
    """Measure the same queries in a file of few inboxes and in the whole one."""
    some = [one for one in asked if one.inbox in subset]
    small = ensure_subset(mailbox, subset, cache)
    engines: dict[str, Engine] = {
        "few inboxes": OwnEngine(small, "newest"),
        "all inboxes": OwnEngine(mailbox, "newest"),
    }
    timings = time_queries(engines, some, FAST_ROUNDS)
    growth = {name: summary(timing.cpu_ms) for name, timing in timings.items()}
    report["growth"] = {"few": len(subset), "all": report["inboxes"], "queries": len(some)} | growth


def _sameness(
    mailbox: Path, asked: Sequence[Asked], found: Sequence[tuple[str, ...]], expected: Sequence[tuple[str, ...]]
) -> str:
    """Return how many queries found the same; real mail has mails of the same second, whose order is anyone's."""
    differing = [place for place in range(len(found)) if found[place] != expected[place]]
    same = f"{len(found) - len(differing)} of {len(found)}"
    if not differing:
        return same
    store = EmailStore.open(mailbox)
    num_tied = 0
    for inbox in {asked[place].inbox for place in differing}:
        seconds = {stored.email.message_id: _second(stored.email) for stored in store.emails(inbox)}
        for place in (place for place in differing if asked[place].inbox == inbox):
            one, other = ([seconds.get(name) for name in ids] for ids in (found[place], expected[place]))
            num_tied += one == other
    store.close()
    return f"{same}, {num_tied} more but for the order of mails of the same second"


def _second(email: Email) -> datetime | None:
    return email.date and email.date.replace(microsecond=0)


def _ratios(other: dict[str, Any], own: dict[str, Any]) -> dict[str, float]:
    overall = {key: round(other["cpu_ms"][key] / own["cpu_ms"][key], 2) for key in own["cpu_ms"]}
    kinds = own["cpu_ms_by_kind"]
    return overall | {
        f"{kind} p50": round(other["cpu_ms_by_kind"][kind]["p50"] / kinds[kind]["p50"], 2) for kind in kinds
    }


def _lines(report: dict[str, Any]) -> list[str]:
    head = f"{report['mails']} mails in {report['inboxes']} inboxes, {report['queries']} queries; CPU ms per query"
    lines = [head, f"{'':22}" + "".join(f"{name:>10}" for name in ("mean", "p50", "p95", "p99", "common p50"))]
    for name, figures in report["engines"].items():
        common = figures["cpu_ms_by_kind"].get("common", {"p50": 0.0})["p50"]
        lines.append(f"{name:22}" + "".join(f"{ms:10.3f}" for ms in (*figures["cpu_ms"].values(), common)))
    lines += [f"same ids as {name}: {same}" for name, same in report["same_ids"].items()]
    lines += [f"{name}: {size} MB" for name, size in report["disk_mb"].items()]
    if "growth" in report:
        lines.append(f"the same queries with few and all inboxes: {report['growth']}")
    return lines
