"""Measure how fast mail is imported, with one and two reading processes, against the standard library.

The reference reads the same mailbox files with mailbox.mbox and email.policy.default, asks for the same fields and
inserts them into one plain FTS5 table; it is slow, so it reads only the first mails of them. Without a path, a
mailbox is generated.
"""

from __future__ import annotations

import argparse
import fileinput
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

from inbox_env.errors import UsageError
from scripts.terminal import console

_OURS = """import json, resource, sys, time
from pathlib import Path
from inbox_env.importing.import_mail import import_mail
mailbox, workers, *sources = sys.argv[1:]
started = time.perf_counter()
done = import_mail(sources, Path(mailbox), "bench", num_workers=int(workers))
wall = time.perf_counter() - started
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(one.ru_utime + one.ru_stime for one in used)
print(json.dumps({"mails": done.read, "cpu_seconds": cpu, "wall_seconds": wall}))
"""
_REFERENCE = """import email, email.policy, json, mailbox, resource, sqlite3, sys, time
from itertools import chain
path, *sources = sys.argv[1:]
db = sqlite3.connect(path)
FIELDS = ("from", "to", "cc", "bcc", "date", "subject", "message-id", "in-reply-to", "references")
db.execute("CREATE VIRTUAL TABLE mails USING fts5 (id UNINDEXED, subject, people, sent, body, attached)")
parse = lambda file: email.message_from_binary_file(file, policy=email.policy.default)
boxes = [mailbox.mbox(source, factory=parse, create=False) for source in sources]
num, started = 0, time.perf_counter()
for mail in chain.from_iterable(boxes):
    num += 1
    try:
        found = {name: str(mail[name]) for name in FIELDS}
        people = [str(one) for name in FIELDS[:4] if mail[name] for one in mail[name].addresses]
        part = mail.get_body(("plain", "html"))
        attached = [str(part.get_filename()) for part in mail.iter_attachments()]
        text = (part.get_content() if part else "", " ".join(attached))
        db.execute("INSERT INTO mails VALUES (?, ?, ?, ?, ?, ?)",
                   (found["message-id"], found["subject"], " ".join(people), found["date"], *text))
    except Exception:
        continue  # the standard library raises on odd mail: it is counted as read
db.commit()
wall = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"mails": num, "cpu_seconds": used.ru_utime + used.ru_stime, "wall_seconds": wall}))
"""
_SAMPLE_SECONDS = 0.25  # looking costs time of the cores that are measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="mailbox files, or folders of *.mbox")
    parser.add_argument("--mails", type=int, default=20_000, help="mails to generate without a path (default: 20000)")
    parser.add_argument("--reference-mails", type=int, default=3_000, help="mails the reference reads (default: 3000)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="reading processes (default: 1 2)")
    parser.add_argument(
        "--repeats", type=int, default=1, metavar="N", help="imports with each number of workers, by turns (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the measurements and return the exit code."""
    if min(args.mails, args.reference_mails, args.repeats, *args.workers) < 1:
        what = "--mails, --reference-mails, --repeats and --workers are at least 1"
        raise UsageError(95, what, next_step="give larger ones")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = args.paths or [generate_mbox(folder / "generated.mbox", args.mails)]
        result = measure(paths, folder, args.workers, args.reference_mails, args.repeats)
    if args.json:
        print(json.dumps(result))
    else:
        _print(result)
    return 0


def measure(
    paths: list[Path], folder: Path, workers: list[int], num_reference: int, num_repeats: int = 1
) -> dict[str, Any]:
    """Return the figures of each number of workers: mails, seconds, mails per second, peak memory of all its processes.

    Of repeated imports the one with the median wall time counts; the numbers of workers take turns, so that what
    disturbs the machine for a while disturbs all of them. Every wall time is in `all_wall_seconds`.
    """
    boxes = [str(box) for path in paths for box in (sorted(path.rglob("*.mbox")) if path.is_dir() else [path])]
    if not boxes:
        raise UsageError(80, "no .mbox file to measure with", where=str(paths[0]), next_step="name a file")
    turns = [{number: _import(paths, folder, number) for number in workers} for _ in range(num_repeats)]
    runs = {f"workers_{number}": _median_of([turn[number] for turn in turns]) for number in workers}
    result: dict[str, Any] = {"source_bytes": sum(Path(box).stat().st_size for box in boxes), "runs": runs}
    first = runs[f"workers_{workers[0]}"]
    if num_reference > 0:
        cut = first_mails(boxes, num_reference, folder / "first.mbox")
        reference = runs["standard_library"] = _measured(_REFERENCE, [str(folder / "reference.db"), str(cut)])
        result["cpu_ratio_to_standard_library"] = _ratio(first, reference, "mails_per_cpu_second")
    if len(workers) > 1:
        result["wall_ratio_of_workers"] = _ratio(runs[f"workers_{workers[-1]}"], first, "mails_per_second")
    return result


def _import(paths: list[Path], folder: Path, num_workers: int) -> dict[str, Any]:
    mailbox = folder / f"{num_workers}.db"
    row = _measured(_OURS, [str(mailbox), str(num_workers), *map(str, paths)])
    row["mailbox_bytes"] = mailbox.stat().st_size
    mailbox.unlink()
    return row


def _median_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ordered = sorted(rows, key=itemgetter("wall_seconds"))
    return {**ordered[len(ordered) // 2], "all_wall_seconds": [row["wall_seconds"] for row in rows]}


def generate_mbox(path: Path, num_mails: int, seed: int = 0) -> Path:
    """Write an invented mailbox of `num_mails` mails and return its path: threads, copies, some HTML, Zipf words."""
    with path.open("w", encoding="utf-8") as file:
        for text in _invented(num_mails, Random(seed)):
            file.write(text)
    return path


def first_mails(boxes: list[str], num_mails: int, path: Path) -> Path:
    """Copy the first mails of mbox files into one, so that the reference need not scan all of them; return its path."""
    num_seen, is_after_blank = 0, True
    with path.open("wb") as out, fileinput.input(boxes, mode="rb") as lines:
        for line in lines:
            num_seen += is_after_blank and line.startswith(b"From ")
            if num_seen > num_mails:
                break
            is_after_blank = not line.strip()
            out.write(line)
    return path


def _invented(num_mails: int, random: Random) -> Iterator[str]:
    words = ["".join(random.choices("aeioulnrstdkmpbg", k=random.randint(3, 10))) for _ in range(30_000)]
    people = [f"{words[n]}.{words[n + 1]}@example.org" for n in range(0, 4_000, 2)]
    last = ""
    for number in range(num_mails):
        if last and random.random() < 0.02:
            yield last
            continue
        rank = random.paretovariate
        body = [" ".join(words[int(rank(0.6)) % 30_000] for _ in range(12)) for _ in range(random.randint(3, 40))]
        is_reply = number > 10 and random.random() < 0.5
        lines = [
            f"From MAILER-DAEMON Mon Jan  1 00:00:{number % 60:02} 2001",
            f"Message-ID: <{number}@example.org>",
            f"Date: Mon, {number % 28 + 1} {'Jan Feb Mar Apr May Jun'.split()[number % 6]} {2001 + number % 9} "
            f"{number % 24:02}:{number % 60:02}:00 +0000",
            f"From: {people[int(rank(0.8)) % 2_000]}",
            f"To: {', '.join(random.sample(people, random.randint(1, 4)))}",
            f"Subject: {'Re: ' if is_reply else ''}{words[number % 30_000]} {words[number * 7 % 30_000]}",
            *([f"In-Reply-To: <{number - random.randint(1, 10)}@example.org>"] if is_reply else []),
            "MIME-Version: 1.0",
        ]
        if random.random() < 0.05:
            lines += [
                "Content-Type: text/html; charset=utf-8",
                "",
                "<html><body><p>",
                "<br>\n".join(body),
                "</p></body>",
            ]
        else:
            lines += ["Content-Type: text/plain; charset=utf-8", "", *body]
        last = "\n".join([*lines, "", ""])
        yield last


def _measured(code: str, arguments: list[str]) -> dict[str, Any]:
    """Run the code in a process of its own; return what it printed, and the peak memory of it and its children."""
    process = subprocess.Popen(  # noqa: S603  # this interpreter, our own code
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    sampler = _MemorySampler(process.pid)
    sampler.start()
    out, _ = process.communicate()
    sampler.done.set()
    sampler.join()
    if process.returncode:
        raise UsageError(81, "the measured import failed", where=" ".join(arguments[2:4]))
    row = json.loads(out)
    row["mails_per_cpu_second"] = row["mails"] / row["cpu_seconds"]
    row["mails_per_second"] = row["mails"] / row["wall_seconds"]
    row["peak_mib"] = sampler.peak_bytes / (1 << 20)
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}


class _MemorySampler(threading.Thread):
    """Watches the proportional memory of a process and its children: pages that they share count once."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.peak_bytes = 0
        self._pid = pid

    def run(self) -> None:
        while not self.done.wait(_SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _memory_of_tree(self._pid))


def _memory_of_tree(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:  # it has ended, or this is no Linux
        return 0
    own = next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(_memory_of_tree(int(child)) for child in children)


def _ratio(ours: dict[str, Any], other: dict[str, Any], figure: str) -> float:
    return round(float(ours[figure]) / float(other[figure]), 2)


def _print(result: dict[str, Any]) -> None:
    out = console()
    for name, row in result["runs"].items():
        out.print(
            f"{name:<17} {row['mails']:>9,} mails  {row['mails_per_cpu_second']:>9,.0f} per CPU second  "
            f"{row['mails_per_second']:>9,.0f} per second  {row['peak_mib']:>6,.0f} MiB"
        )
    for name in ("cpu_ratio_to_standard_library", "wall_ratio_of_workers"):
        if name in result:
            out.print(f"{name.replace('_', ' ')}: {result[name]}")
