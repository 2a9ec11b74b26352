"""Where a run's metrics go besides its own folder: nowhere, Weights & Biases, or TensorBoard.

The run folder always has everything. A tracker lives in a thread of its own, behind a bounded queue: whether it fails,
hangs or never starts, training neither stops nor waits for it. What goes wrong is said once, what is lost is counted.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

from agent.grpo.config import TrainConfig
from agent.scrub import scrubbed
from inbox_env.errors import UsageError

MAX_WAITING = 1024  # rows that a slow tracker may be behind; the next ones are dropped
CLOSE_SECONDS, HURRY_SECONDS = 10.0, 3.0  # for the last rows: at the end of training, and when it ended by an error
_START_SECONDS = 60.0  # wandb's own deadline; nobody waits for it

Row = Mapping[str, float]
Kind = Literal["none", "wandb", "tensorboard"]
T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Board:
    """A tracker that was started: takes a row, and is finished."""

    send: Callable[[Row], None]
    close: Callable[[], None]


class Tracker:
    """Passes rows on to what `start` gives, all of it in a thread; after a failure it stays silent."""

    def __init__(self, name: str, start: Callable[[], Board], *, max_waiting: int = MAX_WAITING) -> None:
        self._name, self._start = name, start
        self._rows: queue.Queue[Row | None] = queue.Queue(max_waiting)
        self._num_sent = self._num_logged = 0
        self._is_broken, self._is_late, self._is_left = False, False, False
        self._thread = threading.Thread(target=self._serve, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def log(self, row: Row) -> None:
        """Send one row, at some time; never waits and never raises."""
        self._num_logged += 1
        if self._is_broken:
            return
        try:
            self._rows.put_nowait(dict(row))
        except queue.Full:
            if not self._is_late:
                _log.warning("%s is %d rows behind: rows are dropped from here on", self._name, self._rows.maxsize)
            self._is_late = True

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give it `seconds` for what is left and to finish its own run, then say how many rows it did not get."""
        try:
            self._rows.put_nowait(None)
        except queue.Full:
            self._is_left = True  # it ends after the rows that wait
        self._thread.join(seconds)
        is_hanging, self._is_left = self._thread.is_alive(), True
        self._is_broken = self._is_broken or is_hanging  # whatever comes of it now, it was said
        num_lost = self._num_logged - self._num_sent
        if num_lost or is_hanging:
            hanging = f"was not finished within {seconds:g} s, " if is_hanging else ""
            text = "%s %sdid not get %d of %d rows; metrics.jsonl has them all"
            _log.warning(text, self._name, hanging, num_lost, self._num_logged)

    def _serve(self) -> None:
        board = self._try("did not start", self._start)
        if board is None:
            return
        while not self._is_broken and (row := self._next_row()) is not None:
            self._try("stopped taking metrics", partial(board.send, row))
            self._num_sent += not self._is_broken
        self._try("was not closed", board.close)

    def _next_row(self) -> Row | None:
        """Return the next row, None after the last one."""
        if not self._is_left:
            return self._rows.get()
        try:
            return self._rows.get_nowait()
        except queue.Empty:
            return None

    def _try(self, what: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except BaseException as error:  # a thread's SystemExit would end it without a word
            if not self._is_broken:
                _log.warning("%s %s (%s); metrics.jsonl has them all", self._name, what, scrubbed(error))
            self._is_broken = True
            return None


def check_tracker(kind: Kind) -> None:
    """Raise UsageError when the package of `kind` is not installed: to be asked before a run begins."""
    if kind != "none" and find_spec(kind) is None:
        raise UsageError(66, f"track = {kind!r} needs {kind}", next_step='pip install "mailsleuth[track]"')


@contextmanager
def open_tracker(config: TrainConfig, folder: Path) -> Iterator[Tracker]:
    """Yield the tracker that `config.track` names; whatever it does, only what the body raises comes out."""
    makers = {"none": _none, "wandb": _wandb, "tensorboard": _tensorboard}
    tracker = Tracker(config.track, lambda: makers[config.track](config, folder))
    try:
        yield tracker
    except BaseException:
        tracker.close(HURRY_SECONDS)
        raise
    tracker.close(CLOSE_SECONDS)


def _none(_: TrainConfig, __: Path) -> Board:
    return Board(lambda _: None, lambda: None)


def _wandb(config: TrainConfig, folder: Path) -> Board:
    import wandb

    # Numbers only: no mail text, no trajectory and no code leaves the machine.
    settings = wandb.Settings(
        disable_code=True,
        disable_git=True,
        console="off",
        x_disable_meta=True,
        init_timeout=_START_SECONDS,
        login_timeout=1.0,  # nobody is asked for a key: training has begun
        finish_timeout=CLOSE_SECONDS,
    )
    mode = os.environ.get("WANDB_MODE")
    if mode is None and not wandb.login(prompt=False, verify=False):
        mode = "offline"
        _log.warning("wandb has no key: metrics are kept in %s, for `wandb sync`", folder / "wandb")
    sections = config.model_dump(mode="json", include={"grpo", "loss", "reward", "sampling"})
    wandb_run = wandb.init(
        project="mailsleuth", name=config.run.name, dir=str(folder), config=sections, settings=settings, mode=mode
    )
    return Board(lambda row: wandb_run.log(dict(row), step=int(row["step"])), wandb_run.finish)


def _tensorboard(_: TrainConfig, folder: Path) -> Board:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def send(row: Row) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["step"]))

    return Board(send, writer.close)
