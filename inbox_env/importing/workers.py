"""Reading processes: share out batches of mails, one at a time each, so that nothing can wait on itself.

A process is sent work only when it is idle, and its answer is always awaited: no pipe fills from both ends. A mail
that ends its process, or takes too long, is read again alone and becomes a reject. Knows nothing of sources.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from inbox_env.errors import CorruptError, MailsleuthError, ResourceError
from inbox_env.importing.row_files import row_file
from inbox_env.importing.staged_rows import ReadOptions, RowFile, Work, WorkDone
from inbox_env.ingest.owner import OwnerGuess
from inbox_env.ingest.records import RawMail, Reject, digest

MAX_WORKERS = 6  # each has a file of its own, and SQLite joins at most ten
BATCH_SECONDS = 120.0
MAIL_SECONDS = 30.0
_MAX_DEATHS = 5  # mails in a row that end their process: then it is not the mails
_DRAIN_SECONDS = 3.0
_LOOK_SECONDS = 0.5
_PIPE_BYTES = 1 << 20  # a batch is written at once, if the system allows as much

_START = """import json, sys
sys.path[:] = json.loads(sys.argv[1])
from inbox_env.importing.workers import serve
serve(int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))"""


class InlineReader:
    """Reads in this process; the same interface as `ReaderPool`."""

    def __init__(self, folder: Path, options: ReadOptions) -> None:
        self._rows = RowFile(row_file(folder, 0), options)

    def results(self, works: Iterator[Work]) -> Iterator[tuple[int, Work, WorkDone]]:
        """Yield (file number, work, what became of it) for each work."""
        for work in works:
            yield 0, work, self._rows.read(work)

    def close(self) -> None:
        """Close the file of rows."""
        self._rows.close()


class ReaderPool:
    """Several reading processes."""

    def __init__(
        self, folder: Path, options: ReadOptions, num_workers: int, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._workers = [_Worker(folder, number, options) for number in range(min(num_workers, MAX_WORKERS))]
        self._is_stopped = is_stopped
        self._stopped_at: float | None = None

    def results(self, works: Iterator[Work]) -> Iterator[tuple[int, Work, WorkDone]]:
        """Yield (file number, work, what became of it) in the order of finishing, until `works` ends.

        Once stopped, what is under way has a few seconds to finish.
        """
        idle = list(self._workers)
        busy: dict[_Worker, Work] = {}
        for work in works:
            done = None
            if not idle:
                worker = self._ready(list(busy))
                if worker is None:
                    return
                done = (worker.number, busy[worker], worker.result(busy.pop(worker)))
                idle.append(worker)
            worker = idle.pop()
            busy[worker] = work
            worker.send(work, BATCH_SECONDS)  # before what was done is dealt with: no process waits for that
            if done is not None:
                yield done
        while busy and (worker := self._ready(list(busy))) is not None:
            yield worker.number, busy[worker], worker.result(busy.pop(worker))

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.end()

    def _ready(self, busy: list[_Worker]) -> _Worker | None:
        """Wait for a process that has answered, died or is late; None when stopped and nothing finishes."""
        while True:
            now = time.monotonic()
            seconds = min(worker.deadline for worker in busy) - now
            found = wait([worker.connection for worker in busy], min(_LOOK_SECONDS, max(0.0, seconds)))
            ready = [worker for worker in busy if worker.connection in found or time.monotonic() >= worker.deadline]
            if ready:
                return ready[0]
            if self._is_stopped():
                self._stopped_at = self._stopped_at or now
                if now - self._stopped_at > _DRAIN_SECONDS:
                    return None


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failure of the reading process itself, which is no mail's fault: `kind` says how it is raised again."""

    kind: str
    what: str


class _Worker:
    """One reading process, started anew whenever it dies."""

    def __init__(self, folder: Path, number: int, options: ReadOptions) -> None:
        self.number, self._folder, self._options = number, folder, options
        RowFile(row_file(folder, number), options).close()  # so that the files are there, whoever reads first
        self.deadline = 0.0
        self.connection, self._process = self._start()

    def send(self, work: Work, seconds: float) -> None:
        """Give the idle process work; that it has died is found out by `result`."""
        self.deadline = time.monotonic() + seconds
        try:
            self.connection.send(work)
        except OSError:
            self._process.kill()

    def result(self, work: Work) -> WorkDone:
        """Return what became of the work sent; when the process failed, read each mail alone."""
        done = self._receive()
        if done is not None:
            return done
        self._restart()
        return self._read_alone(work)

    def end(self) -> None:
        """End the process, without waiting for its leave-taking; its file is left as of the last commit."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _read_alone(self, work: Work) -> WorkDone:
        guess, num_mails, deaths = OwnerGuess(), 0, 0
        rejects: list[tuple[int, Reject]] = []
        for seq, item in work.mails:
            self.send(Work(work.batch, seq, seq + 1, ((seq, item),)), MAIL_SECONDS)
            wait([self.connection], MAIL_SECONDS)
            done = self._receive()
            if done is not None:
                guess.merge(done.owner_counts)
                num_mails, deaths = num_mails + done.num_mails, 0
                rejects += done.rejects
                continue
            deaths += 1
            if deaths >= _MAX_DEATHS or not isinstance(item, RawMail):
                raise ResourceError(61, "reading processes keep dying", next_step="see whether memory is short")
            reason = "reading it ended the reader, or took too long"
            rejects.append((seq, Reject(path=item.path, offset=item.offset, reason=reason, sha256=digest(item.raw))))
            self._restart()
        return WorkDone(num_mails, tuple(rejects), guess.counts())

    def _receive(self) -> WorkDone | None:
        """Return the answer; None when the process is dead or late."""
        try:
            answer = self.connection.recv() if self.connection.poll(0) else None
        except (EOFError, OSError):
            return None
        if isinstance(answer, _Failure):
            raise _raised(answer)
        return answer if isinstance(answer, WorkDone) else None

    def _restart(self) -> None:
        self._process.kill()
        self._process.wait()
        self.connection.close()
        self.connection, self._process = self._start()

    def _start(self) -> tuple[Connection[Any, Any], subprocess.Popen[bytes]]:
        ours, theirs = Pipe()
        with socket.socket(fileno=os.dup(ours.fileno())) as pipe:  # it is a pair of sockets
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
            # It may stop reading: nothing waits for ever.
            limit = struct.pack("ll", int(MAIL_SECONDS), int(MAIL_SECONDS % 1 * 1e6))
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        options = {
            "attachment_text": self._options.attachment_text,
            "keep_html": self._options.keep_html,
            "max_message_bytes": self._options.max_message_bytes,
        }
        path = str(row_file(self._folder, self.number).absolute())
        arguments = (json.dumps(sys.path), str(theirs.fileno()), path, json.dumps(options))
        with theirs:  # a new session: an interrupt from the terminal reaches the importer alone
            process = subprocess.Popen(  # noqa: S603  # this interpreter, our own code
                [sys.executable, "-c", _START, *arguments],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        return ours, process


def serve(descriptor: int, path: str, options: dict[str, Any]) -> None:
    """The life of a reading process: read what comes, answer, until the importer closes the pipe or dies."""
    connection: Connection[Any, Any] = Connection(descriptor)
    rows: RowFile | None = None
    while True:
        try:
            work = connection.recv()
        except (EOFError, OSError):
            return
        try:
            rows = rows or RowFile(Path(path), ReadOptions(**options))
            answer: WorkDone | _Failure = rows.read(work)
        except MailsleuthError as error:
            answer = _Failure("corrupt", error.what)
        except (sqlite3.Error, OSError) as error:
            answer = _Failure("no room", str(error))
        try:
            connection.send(answer)
        except OSError:
            return


def _raised(failure: _Failure) -> MailsleuthError | sqlite3.OperationalError:
    if failure.kind == "corrupt":
        return CorruptError(36, failure.what, next_step="run mailsleuth doctor")
    return sqlite3.OperationalError(failure.what)
