"""What must happen when an import is killed, stopped, out of room or not alone: faults F20, F21, F22, F25, L14."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from inbox_env.errors import ExitCode, ResourceError
from inbox_env.importing import building, import_mail, merging, reading
from inbox_env.importing.staged_rows import RowFile
from inbox_env.importing.staging import Staging
from inbox_env.lock import mailbox_lock
from scripts.cli import main
from tests.faults.import_bench import Bench, box, child, dump, plain

COMMIT_POINTS: list[tuple[Any, str, int]] = [
    *((Staging, "__init__", 1), (Staging, "commit", 1), (Staging, "commit", 4), (Staging, "commit", 7)),
    *((RowFile, "_write", 1), (RowFile, "_write", 5), (import_mail, "merge_rows", 1), (merging, "_gather", 1)),
    *((merging, "_separate_twins", 1), (merging, "_fold_copies", 1), (merging, "_find_threads", 1)),
    *((building, "ensure_schema", 1), (building, "_fill", 1), (building, "_index", 1)),
    *((import_mail, "build", 1), (import_mail, "replace_rejects", 1), (Staging, "close", 1), (Path, "replace", 1)),
]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_MAILS", 20)


def mails(first: int, last: int) -> list[bytes]:
    """Mails with words, replies, copies and one that is none."""
    texts = []
    for n in range(first, last):
        reply = b"In-Reply-To: <%d@x.org>\n" % (n - 3) if n % 4 == 0 else b""
        texts.append(plain(n).replace(b"\n\n", b"\n%s\n" % reply, 1) + b"words %d and more\n" % n * 20)
        if n % 10 == 0:
            texts.append(texts[-1].replace(b"Message-ID: <", b"Message-ID: <copy"))
    return texts


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A mailbox with a few mails in it, and some more to import with them."""
    bench = Bench(tmp_path)
    bench.put("a.mbox", box(*mails(1, 20)))
    bench.run()
    bench.put("a.mbox", box(*mails(15, 90)))
    bench.put("b.mbox", box(*mails(80, 140)))
    bench.put("c.png", b"\x89PNG no mail")
    return bench


@pytest.fixture
def golden(bench: Bench, tmp_path: Path) -> dict[str, Any]:
    """What the mailbox holds after an import that nothing disturbed."""
    before = bench.mailbox.read_bytes()
    bench.run()
    expected = dump(bench.mailbox)
    bench.mailbox.write_bytes(before)
    (tmp_path / "my.db.rejects.jsonl").unlink()
    return expected


def die_at(target: Any, name: str, nth: int, *, after: bool) -> None:
    """Have this process killed at the nth call of a function, before it starts or when it has ended."""
    original, calls = getattr(target, name), [0]

    def killing(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if calls[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(target, name, killing)


def left_over(bench: Bench) -> set[str]:
    return {path.name for path in bench.mailbox.parent.iterdir()} - {"source", "my.db", "my.db.rejects.jsonl"}


@pytest.mark.parametrize("has_mailbox", [pytest.param(True, marks=pytest.mark.slow), False])
def test_f20_killed_at_any_commit_point_the_same_import_finishes_as_if_nothing_had_been(
    bench: Bench, golden: dict[str, Any], has_mailbox: bool
) -> None:
    before = bench.mailbox.read_bytes()
    if not has_mailbox:
        bench.mailbox.unlink()
        bench.run()
        golden = dump(bench.mailbox)
    num_resumed = 0
    for target, name, nth in COMMIT_POINTS:
        for after in (False, True):
            bench.mailbox.unlink()
            if has_mailbox:
                bench.mailbox.write_bytes(before)
            code, errors = child(bench, lambda at=(target, name, nth), late=after: die_at(*at, after=late))
            assert code in (-signal.SIGKILL, ExitCode.REJECTS), errors  # a point that a path does not pass
            if has_mailbox:
                assert dump(bench.mailbox)["mails"]
            num_resumed += bench.run().is_resumed
            assert dump(bench.mailbox) == golden, (name, nth, after)
            assert not left_over(bench)
    assert num_resumed >= 20


def test_f20_what_a_killed_writer_left_half_written_is_undone(bench: Bench) -> None:
    before = dump(bench.mailbox)
    process = os.fork()
    if process == 0:
        connection = sqlite3.connect(bench.mailbox, isolation_level=None)
        for statement in ("PRAGMA cache_size = 1", "BEGIN", "UPDATE mails SET body = hex(zeroblob(9000))"):
            connection.execute(statement)
        os._exit(0)
    os.waitpid(process, 0)
    assert bench.mailbox.with_name("my.db-journal").stat().st_size > 0
    assert dump(bench.mailbox) == before


def alarm(seconds: float, number: signal.Signals) -> None:
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
    signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.mark.parametrize(("number", "died"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_f20_f21_a_signal_at_any_time_leaves_the_old_mailbox_or_the_whole_new_one(
    bench: Bench, golden: dict[str, Any], number: signal.Signals, died: int
) -> None:
    before = dump(bench.mailbox)
    for hundredths in (1, 3, 5, 7, 9, 12, 15, 20, 30):
        code, errors = child(bench, lambda seconds=hundredths / 100: alarm(seconds, number))
        assert code in (ExitCode.REJECTS, died, -number), errors  # the last: before the import listened
        assert dump(bench.mailbox) in (before, golden)
    bench.run()
    assert dump(bench.mailbox) == golden
    assert not left_over(bench)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_f21_a_signal_ends_the_import_in_order_and_the_same_command_goes_on(
    bench: Bench, golden: dict[str, Any], number: signal.Signals, expected: int, workers: int
) -> None:
    before = bench.mailbox.read_bytes()

    def send_signal_soon() -> None:
        original = Staging.commit

        def commit(self: Staging, record: Any) -> None:
            original(self, record)
            if len(self.done) == 3:
                os.kill(os.getpid(), number)

        Staging.commit = commit  # type: ignore[method-assign]

    started = time.monotonic()
    code, errors = child(bench, send_signal_soon, "--workers", str(workers))
    assert (code, errors.count("\n")) == (expected, 1), errors
    assert time.monotonic() - started < 40  # it does not finish first; the machine may be busy
    assert "the same command goes on" in errors
    assert bench.mailbox.read_bytes() == before
    summary = bench.run()
    assert summary.is_resumed
    assert dump(bench.mailbox) == golden
    assert not left_over(bench)


def limit_files(num_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@pytest.mark.parametrize("workers", [1, 2])
def test_f22_a_full_disk_leaves_the_mailbox_as_it_was(bench: Bench, golden: dict[str, Any], workers: int) -> None:
    before = bench.mailbox.read_bytes()
    codes = []
    for size in (2_000, 20_000, 40_000, 60_000, 90_000, 130_000, 180_000, 50_000_000):
        code, errors = child(bench, lambda size=size: limit_files(size), "--workers", str(workers))
        codes.append(code)
        if code != ExitCode.REJECTS:
            assert code == ExitCode.RESOURCE, errors
            assert errors.count("\n") == 1
            assert bench.mailbox.read_bytes() == before
            left = left_over(bench)
            assert all(name.startswith("my.db.partial-") and name in errors for name in left), (left, errors)
    assert codes[0] == ExitCode.RESOURCE
    assert codes[-1] == ExitCode.REJECTS
    assert dump(bench.mailbox) == golden
    assert not left_over(bench)


@pytest.mark.parametrize("room", [0, 4_096, 20_000, 40_000])
def test_f22_a_disk_that_is_full_in_the_last_step_is_rolled_back(
    bench: Bench, golden: dict[str, Any], room: int
) -> None:
    before = bench.mailbox.read_bytes()

    def limit_last_step() -> None:
        original = building.ensure_schema

        def limited(*arguments: Any) -> bool:
            limit_files(len(before) + room)
            return original(*arguments)

        building.ensure_schema = limited

    code, errors = child(bench, limit_last_step)
    assert (code, errors.count("\n")) == (ExitCode.RESOURCE, 1), errors
    assert "kept in my.db.partial-" in errors
    assert dump(bench.mailbox)["mails"]
    assert bench.mailbox.read_bytes() == before
    assert bench.run().is_resumed
    assert dump(bench.mailbox) == golden


def test_f25_a_second_import_says_who_is_first_and_a_dead_one_locks_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", str(bench.source), "--mailbox", str(bench.mailbox), "--inbox", "me"]
    ready, tell = os.pipe()
    process = os.fork()
    if process == 0:
        with mailbox_lock(bench.mailbox):
            os.write(tell, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    before, started, begun = bench.mailbox.read_bytes(), time.monotonic(), time.process_time()
    try:
        assert main(command) == ExitCode.RESOURCE
        assert time.process_time() - begun < 2
        assert time.monotonic() - started < 5, "it does not wait for the first; the machine may be busy"
        assert f"locked by pid {process}" in capsys.readouterr().err
        assert bench.mailbox.read_bytes() == before
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    assert main(command) == ExitCode.REJECTS
    assert not left_over(bench)


def test_f25_threads_of_one_process_lock_each_other_out_too(tmp_path: Path) -> None:
    mailbox, refused = tmp_path / "my.db", pytest.raises(ResourceError, match="locked by pid")
    with mailbox_lock(mailbox), refused, mailbox_lock(mailbox):
        pass
    with mailbox_lock(tmp_path / "my.db"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_l14_imports_killed_at_random_with_two_reading_processes_lose_nothing(
    bench: Bench, golden: dict[str, Any]
) -> None:
    before, random = bench.mailbox.read_bytes(), Random(0)
    command = [sys.executable, "-c", "import sys; from scripts.cli import main; sys.exit(main(sys.argv[1:]))"]
    command += ["import", str(bench.source), "--mailbox", str(bench.mailbox), "--inbox", "me", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for _ in range(25):
        bench.mailbox.write_bytes(before)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        time.sleep(random.uniform(0.2, 2.5))
        process.kill()
        process.wait()
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == ExitCode.REJECTS, done.stderr
        assert dump(bench.mailbox) == golden
