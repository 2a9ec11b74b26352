"""Signals that end a run in order: the first lets the step finish and a checkpoint be written, the second ends at once.

A step that takes longer than the grace is given up. Knows nothing of steps and checkpoints.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from inbox_env.errors import ExitCode

GRACE_SECONDS = 20.0  # schedulers give 30 from SIGTERM to SIGKILL


class GivenUp(SystemExit):
    """Raised inside a step that outlasted the grace: event loops let a SystemExit pass."""


class StopRequest:
    """Whether a signal has asked the run to end."""

    def __init__(self) -> None:
        self.signum: int | None = None

    @property
    def is_made(self) -> bool:
        """Whether the run is to end after this step."""
        return self.signum is not None

    def leave(self) -> NoReturn:
        """End the process as the signal would have: KeyboardInterrupt, or SystemExit with 143."""
        if self.signum == signal.SIGTERM:
            raise SystemExit(ExitCode.TERMINATED)
        raise KeyboardInterrupt


@contextmanager
def orderly_stop(grace_seconds: float = GRACE_SECONDS) -> Iterator[StopRequest]:
    """Yield a request that SIGINT and SIGTERM make, for as long as the context lasts.

    Outside of the main thread, where no handler can be set, it is never made. An ignored SIGINT stays ignored.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(signum: int, _: FrameType | None) -> None:
        if request.is_made:
            request.signum = signum
            request.leave()
        request.signum = signum
        signal.setitimer(signal.ITIMER_REAL, grace_seconds)

    def give_up(_signum: int, _frame: FrameType | None) -> NoReturn:
        raise GivenUp(ExitCode.TERMINATED if request.signum == signal.SIGTERM else ExitCode.INTERRUPTED)

    handlers = {signal.SIGTERM: ask, signal.SIGINT: ask, signal.SIGALRM: give_up}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        del handlers[signal.SIGINT]
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield request
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def cancel_grace() -> None:
    """Stop the clock of the grace: the step is done, and what is being written is written to its end."""
    signal.setitimer(signal.ITIMER_REAL, 0)
