"""Reading processes: the same result whatever their number, and neither a crash nor a hang stops an import."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from inbox_env.errors import ExitCode, ResourceError, StoppedError
from inbox_env.importing import reading, workers
from inbox_env.importing.import_mail import import_mail
from tests.faults.import_bench import Bench, box, dump, plain

# What a reading process runs, with a reader that dies of some mails and sleeps over others.
FRAGILE = """import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
from inbox_env.importing import staged_rows
parse = staged_rows.parse_email
def fragile(raw, **options):
    if b"DEADLY" in raw:
        os._exit(9)
    if b"ENDLESS" in raw:
        time.sleep(600)
    return parse(raw, **options)
staged_rows.parse_email = fragile
from inbox_env.importing.workers import serve
serve(int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(reading, "BATCH_MAILS", 10)
    return Bench(tmp_path)


def run(bench: Bench, **options: Any) -> dict[str, Any]:
    bench.mailbox.unlink(missing_ok=True)
    import_mail([bench.source], bench.mailbox, "me", **options)
    return dump(bench.mailbox)


def test_the_number_of_processes_changes_nothing(bench: Bench) -> None:
    texts = [plain(n % 70).replace(b"Message-ID: <", b"Message-ID: <%d." % n) for n in range(150)]
    bench.put("a.mbox", box(*texts, *(plain(n % 9).replace(b"body", b"other") for n in range(30))))
    expected = run(bench, num_workers=1)
    assert len(expected["mails"]) == 79
    assert run(bench, num_workers=2) == expected
    assert run(bench, num_workers=3) == expected


def test_a_mail_that_kills_its_reader_is_a_reject_and_the_others_are_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_START", FRAGILE)
    bench.put("a.mbox", box(*(plain(n) + (b"DEADLY\n" if n in (4, 25) else b"") for n in range(40))))
    summary = import_mail([bench.source], bench.mailbox, "me", num_workers=2)
    assert (summary.imported, summary.rejected) == (38, 2)
    assert [row["reason"] for row in bench.rejects()] == ["reading it ended the reader, or took too long"] * 2
    assert all(row["sha256"] and row["offset"] for row in bench.rejects())


@pytest.mark.slow
def test_a_mail_that_is_never_done_is_a_reject(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", FRAGILE)
    monkeypatch.setattr(workers, "BATCH_SECONDS", 2.0)
    monkeypatch.setattr(workers, "MAIL_SECONDS", 2.0)
    bench.put("a.mbox", box(*(plain(n) + (b"ENDLESS\n" if n == 4 else b"") for n in range(20))))
    started = time.monotonic()
    summary = import_mail([bench.source], bench.mailbox, "me", num_workers=2)
    assert (summary.imported, summary.rejected) == (19, 1)
    assert time.monotonic() - started < 30


def test_processes_that_always_die_are_one_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", "import os; os._exit(1)")
    bench.put("a.mbox", box(*map(plain, range(20))))
    with pytest.raises(ResourceError, match="keep dying"):
        import_mail([bench.source], bench.mailbox, "me", num_workers=2)
    assert not bench.mailbox.exists()


@pytest.mark.slow
def test_processes_that_never_read_are_one_error_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", "import time; time.sleep(600)")
    monkeypatch.setattr(workers, "BATCH_SECONDS", 0.5)
    monkeypatch.setattr(workers, "MAIL_SECONDS", 0.2)
    bench.put("a.mbox", box(*(plain(n) + b"longer than a pipe\n" * 50_000 for n in range(8))))
    started = time.monotonic()
    with pytest.raises(ResourceError, match="keep dying"):
        import_mail([bench.source], bench.mailbox, "me", num_workers=2)
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_f21_a_stop_does_not_wait_for_a_mail_that_is_never_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_START", FRAGILE)
    monkeypatch.setattr(workers, "_DRAIN_SECONDS", 1.0)
    bench.put("a.mbox", box(*(plain(n) + (b"ENDLESS\n" if n in (15, 25) else b"") for n in range(40))))
    started = time.monotonic()
    with pytest.raises(StoppedError):
        import_mail([bench.source], bench.mailbox, "me", num_workers=2, stopped=lambda: stop_after(started, 3.0))
    assert time.monotonic() - started < 10
    assert not bench.mailbox.exists()


def stop_after(started: float, seconds: float) -> ExitCode | None:
    return ExitCode.INTERRUPTED if time.monotonic() - started > seconds else None


def test_mail_larger_than_any_pipe_goes_through_and_no_process_stays(bench: Bench) -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = children.read_text().split() if children.exists() else []
    large = plain(1) + b"words and more words\n" * 40_000
    bench.put("a.mbox", box(*(large.replace(b"<1@", b"<%d@" % n) + b"end %d\n" % n for n in range(8))))
    assert import_mail([bench.source], bench.mailbox, "me", num_workers=2).imported == 8
    assert not children.exists() or set(children.read_text().split()) <= set(before)


def test_rejects_and_large_answers_do_not_block(bench: Bench) -> None:
    for n in range(400):
        bench.put(
            f"{n:03}{'x' * 200}.eml", b"From: a@x.org\n\nmail %d\n" % n if n % 2 else b"X-Nothing: 1\n\nno mail\n"
        )
    summary = import_mail([bench.source], bench.mailbox, "me", num_workers=2)
    assert (summary.imported, summary.rejected) == (200, 200)
