"""The numbers of a run, step by step, as they are written: rows of metrics.jsonl, and the steps where reward jumped.

Knows nothing of how they are drawn.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.grpo.doctor import reward_jumps
from agent.grpo.metrics import METRICS, read_metrics
from scripts.playground.event_stream import Events

LOOK_SECONDS = 0.5
FIRST = ("reward_mean", "accuracy", "eval_accuracy", "num_turns_mean", "entropy", "grad_norm")
Row = dict[str, float]


class Curves:
    """The rows of one metrics file; without a path there are none."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._rows: list[Row] = []

    def rows(self) -> list[Row]:
        """Return all whole rows; the file is read again only when it has changed."""
        seen = self._look()
        if seen != self._seen:
            self._rows = [row for row in read_metrics(self.path) if "step" in row] if self.path and seen else []
            self._seen = seen
        return self._rows

    def jumps(self) -> frozenset[int]:
        """Return the steps whose mean reward rose far beyond what earlier steps did."""
        return frozenset(finding.step for finding in reward_jumps(self.rows()) if finding.step)

    async def watch(self) -> Events:
        """Yield all rows, and then what is new, for as long as somebody reads."""
        sent: list[dict[str, float | None]] | None = None
        while True:
            rows = [{name: _plain(value) for name, value in row.items()} for row in await asyncio.to_thread(self.rows)]
            if rows != sent:
                is_more = sent is not None and rows[: len(sent)] == sent  # else a resumed run took steps back
                start = len(sent) if sent is not None and is_more else 0
                yield "rows", {"from": start, "rows": rows[start:], "jumps": sorted(self.jumps())}
                sent = rows
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat() if self.path else None
        except FileNotFoundError:
            return None
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if stat else None


def curve_names() -> list[dict[str, Any]]:
    """Return every metric with its meaning, those that are looked at first in front."""
    rest: Sequence[str] = [name for name in METRICS if name not in FIRST and name != "step"]
    return [{"name": name, "meaning": METRICS[name], "is_first": name in FIRST} for name in (*FIRST, *rest)]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
