"""Measure searches: this project's index against ART-E's SQL, tantivy and Whoosh, on the same mails and queries.

A mailbox of invented mail is made once and kept in the cache folder, or an own mailbox is given by path. Every
engine answers every query once before it is timed, and the newest ten Message-IDs are compared.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inbox_env.store import EmailStore
from scripts.bench_engines import (
    ArteEngine,
    Engine,
    OwnEngine,
    TantivyEngine,
    ToolEngine,
    build_arte,
    build_tantivy,
    build_whoosh_mailbox,
)
from scripts.bench_mailbox import MailboxSize, ensure_mailbox, ensure_subset, size_in_mb
from scripts.bench_queries import Asked, draw_queries

COMPETITORS = ("arte", "tantivy", "whoosh", "subset")
MAX_WHOOSH_MAILS = 12_500
NUM_INBOXES_ASKED = 40


@dataclass(frozen=True, slots=True)
class Timing:
    """What one engine took for each query, and what it found."""

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
    store.close()
    report: dict[str, Any] = {
        "mails": sum(info.num_emails for info in infos),
        "inboxes": len(infos),
        "queries": len(asked),
        "sqlite": sqlite3.sqlite_version,
        "disk_mb": {"mailsleuth": size_in_mb(mailbox)},
        "engines": {},
    }
    newest = _measure(OwnEngine(mailbox, "newest"), asked, report, "mailsleuth newest")
    _measure(OwnEngine(mailbox, "relevance"), asked, report, "mailsleuth relevance")
    _measure(ToolEngine(mailbox, "relevance"), asked, report, "search_emails tool")
    _compare(args, mailbox, asked, owners, newest, report)
    if "subset" not in args.without and len(subset) < len(infos):
        _compare_subset(mailbox, subset, asked, args.cache, report)
    print(json.dumps(report) if args.json else "\n".join(_lines(report)))
    return 0


def time_queries(engine: Engine, asked: Sequence[Asked]) -> Timing:
    """Return the time of each query; all are asked once before, so that files and caches are warm."""
    for one in asked:
        engine.search(one.inbox, one.query)
    timing = Timing([], [], [])
    for one in asked:
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        found = engine.search(one.inbox, one.query)
        timing.cpu_ms.append((time.process_time_ns() - cpu) / 1e6)
        timing.wall_ms.append((time.perf_counter_ns() - wall) / 1e6)
        timing.found.append(found)
    return timing


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return mean and percentiles in the unit of the values."""
    ranked = sorted(values)
    at = {f"p{share}": ranked[min(len(ranked) - 1, len(ranked) * share // 100)] for share in (50, 95, 99)}
    return {name: round(value, 4) for name, value in ({"mean": statistics.fmean(values)} | at).items()}


def _measure(engine: Engine, asked: Sequence[Asked], report: dict[str, Any], name: str) -> Timing:
    print(f"measuring {name} ...", file=sys.stderr)
    timing = time_queries(engine, asked)
    engine.close()
    report["engines"][name] = {"cpu_ms": summary(timing.cpu_ms), "wall_ms": summary(timing.wall_ms)} | {
        "cpu_ms_by_kind": {
            kind: summary([ms for ms, one in zip(timing.cpu_ms, asked, strict=True) if one.kind == kind])
            for kind in dict.fromkeys(one.kind for one in asked)
        }
    }
    return timing


def _compare(
    args: argparse.Namespace,
    mailbox: Path,
    asked: Sequence[Asked],
    owners: dict[str, str],
    newest: Timing,
    report: dict[str, Any],
) -> None:
    """Measure the other engines and say how often they found the same."""
    cache: Path = args.cache
    same = report["same_ids"] = {}
    builders: dict[str, tuple[Callable[[], Path], Callable[[Path], Engine]]] = {
        "arte": (lambda: build_arte(mailbox, cache / f"{mailbox.stem}-arte.db"), lambda p: ArteEngine(p, owners)),
        "tantivy": (lambda: build_tantivy(mailbox, cache / f"{mailbox.stem}-tantivy"), TantivyEngine),
    }
    for name, (build, opened) in builders.items():
        if name not in args.without:
            path = build()
            report["disk_mb"][name] = size_in_mb(path)
            timing = _measure(opened(path), asked, report, name)
            same[name] = _num_same(timing.found, newest.found)
            report["engines"][name]["ratio"] = _ratios(report["engines"][name], report["engines"]["mailsleuth newest"])
    if "whoosh" not in args.without:
        store = EmailStore.open(mailbox)
        chosen: list[str] = []
        total = 0
        for inbox in dict.fromkeys(one.inbox for one in asked):
            total += store.info(inbox).num_emails
            if chosen and total > MAX_WHOOSH_MAILS:
                break
            chosen.append(inbox)
        store.close()
        picked = [place for place, one in enumerate(asked) if one.inbox in chosen]
        path = build_whoosh_mailbox(mailbox, chosen, cache / f"{mailbox.stem}-whoosh-{len(chosen)}.db")
        some = [asked[place] for place in picked]
        timing = _measure(OwnEngine(path, "newest"), some, report, "whoosh")
        report["engines"]["whoosh"]["inboxes"] = len(chosen)
        same["whoosh"] = _num_same(timing.found, [newest.found[place] for place in picked])


def _compare_subset(
    mailbox: Path, subset: list[str], asked: Sequence[Asked], cache: Path, report: dict[str, Any]
) -> None:
    """Measure the same queries in a file of few inboxes and in the whole one."""
    some = [one for one in asked if one.inbox in subset]
    small = ensure_subset(mailbox, subset, cache)
    rounds: dict[str, list[dict[str, float]]] = {"few inboxes": [], "all inboxes": []}
    for _ in range(3):
        for name, path in (("few inboxes", small), ("all inboxes", mailbox)):
            engine = OwnEngine(path, "newest")
            rounds[name].append(summary(time_queries(engine, some).cpu_ms))
            engine.close()
    report["growth"] = {"few": len(subset), "all": report["inboxes"], "queries": len(some)} | {
        name: {key: round(statistics.median(one[key] for one in each), 4) for key in each[0]}
        for name, each in rounds.items()
    }


def _num_same(found: Sequence[tuple[str, ...]], expected: Sequence[tuple[str, ...]]) -> str:
    return f"{sum(one == other for one, other in zip(found, expected, strict=True))} of {len(found)}"


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
