"""Makers of bad mail for the fault tests, and how it is read and counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from inbox_env.ingest.records import RawMail, Reject
from inbox_env.ingest.sources import find_source, read_source

LINE = b"From ann@x.org Mon Apr 18 14:26:12 2022\n"
MIB = 1 << 20

# Reads a source in a process of its own; prints how many mails, rejects and other things, and its peak memory in MiB.
COUNT = """
import sys
from collections import Counter
from inbox_env.ingest.sources import find_source, read_source
found = Counter(type(item).__name__ for item in read_source(find_source(sys.argv[1])))
peak = next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(found["RawMail"], found["Reject"], found["Skipped"], peak)
"""


def mail(number: int, body: bytes = b"body\n") -> bytes:
    return b"From: ann@x.org\nSubject: s%d\nMessage-ID: <%d@x.org>\n\n" % (number, number) + body


def box(*mails: bytes) -> bytes:
    return b"".join(LINE + one + b"\n" for one in mails)


def read(path: Path | str) -> tuple[list[RawMail], list[Reject]]:
    items = list(read_source(find_source(path)))
    mails = [item for item in items if isinstance(item, RawMail)]
    return mails, [item for item in items if isinstance(item, Reject)]


def folders(path: Path | str) -> list[tuple[str, tuple[str, ...]]]:
    mails, rejects = read(path)
    assert rejects == []
    return [(mail.folder, mail.labels) for mail in mails]


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def count(path: Path) -> tuple[int, int, int, int]:
    done = subprocess.run([sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    mails, rejects, skipped, peak = map(int, done.stdout.split())
    return mails, rejects, skipped, peak
