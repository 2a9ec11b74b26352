"""Where a run's metrics go besides its own folder: nowhere, Weights & Biases, or TensorBoard.

The run folder always has everything: a tracker that fails is named once and then left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.grpo.config import TrainConfig
from inbox_env.errors import UpstreamError, UsageError

_log = logging.getLogger(__name__)


class Tracker:
    """Passes rows of metrics on; after a failure it stays silent."""

    def __init__(self, name: str, send: Callable[[Mapping[str, float]], None], close: Callable[[], None]) -> None:
        self._name, self._send, self._close = name, send, close
        self._is_broken = False

    def log(self, row: Mapping[str, float]) -> None:
        """Send one row; a failing tracker never stops training."""
        if self._is_broken:
            return
        try:
            self._send(row)
        except Exception as error:
            self._is_broken = True
            _log.warning("%s stopped taking metrics (%s); metrics.jsonl has them all", self._name, type(error).__name__)

    def close(self) -> None:
        """Finish the tracker's own run; what it cannot finish never hides how training ended."""
        try:
            self._close()
        except Exception as error:
            _log.warning("%s was not closed (%s); metrics.jsonl has them all", self._name, type(error).__name__)


@contextmanager
def open_tracker(config: TrainConfig, folder: Path) -> Iterator[Tracker]:
    """Yield the tracker that `config.track` names; raises UsageError when its package is missing.

    Raises UpstreamError when it does not start.
    """
    makers = {"none": _none, "wandb": _wandb, "tensorboard": _tensorboard}
    try:
        tracker = makers[config.track](config, folder)
    except ModuleNotFoundError as error:
        raise UsageError(
            66, f"track = {config.track!r} needs {error.name}", next_step='pip install "mailsleuth[track]"'
        ) from error
    except Exception as error:
        raise UpstreamError(
            66, f"{config.track} did not start: {error}", next_step='set track = "none": metrics.jsonl has everything'
        ) from error
    try:
        yield tracker
    finally:
        tracker.close()


def _none(_: TrainConfig, __: Path) -> Tracker:
    return Tracker("none", lambda _: None, lambda: None)


def _wandb(config: TrainConfig, folder: Path) -> Tracker:
    import wandb

    # Numbers only: no mail text, no trajectory and no code leaves the machine.
    settings = wandb.Settings(disable_code=True, disable_git=True, console="off", x_disable_meta=True)
    sections = config.model_dump(mode="json", include={"grpo", "loss", "reward", "sampling"})
    wandb_run = wandb.init(
        project="mailsleuth", name=config.run.name, dir=str(folder), config=sections, settings=settings
    )
    return Tracker("wandb", lambda row: wandb_run.log(dict(row), step=int(row["step"])), wandb_run.finish)


def _tensorboard(_: TrainConfig, folder: Path) -> Tracker:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def send(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["step"]))

    return Tracker("tensorboard", send, writer.close)
