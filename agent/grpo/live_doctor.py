"""The doctor beside a run: looks at every step, writes what it finds to `doctor.jsonl`, stops the run when asked.

Knows nothing of how a step is played or trained.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

from agent.chat_format import ChatFormat
from agent.grpo.doctor import WINDOW, Row, examine_metrics, examine_steps
from agent.grpo.doctor_tokens import examine_tokens
from agent.grpo.findings import Finding, FindingName, Severity
from agent.grpo.groups import Group
from inbox_env.errors import DivergedError, UpstreamError
from inbox_env.trajectory import Trajectory

FILE = "doctor.jsonl"
MAX_EXAMINED = 16  # rollouts of a step whose tokens are held against their text: enough, and quick
_GRADED = ("failed_rollouts", "mismatch_kl")
_SILENT_STEPS = 10  # before the same is said again

_log = logging.getLogger(__name__)


class LiveDoctor:
    """Remembers the rows and trajectories of the last steps; `stop_on` names what ends the run.

    Without a `run` nothing is written: one of several processes does that.
    """

    def __init__(self, run: Path | None, chat: ChatFormat, stop_on: Sequence[FindingName]) -> None:
        self._path, self._chat, self._stop_on = run and run / FILE, chat, frozenset(stop_on)
        self._rows: deque[Row] = deque(maxlen=3 * WINDOW)
        self._steps: dict[int, list[Trajectory]] = {}
        self._said: dict[tuple[FindingName, Severity], int] = {}
        self._last: list[Finding] = []

    def look(self, groups: Sequence[Group], row: Row) -> list[Finding]:
        """Return what this step brought up and was not said lately."""
        step = int(row["step"])
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        self._rows.append(row)
        self._steps[step] = [rollout.trajectory for rollout in rollouts]
        self._steps = {number: self._steps[number] for number in sorted(self._steps)[-WINDOW:]}
        places = _some(len(rollouts), step)
        lines = [place + 1 for place in places]
        findings = examine_tokens([rollouts[place] for place in places], self._chat, step, lines)
        findings += examine_metrics(list(self._rows)) + examine_steps(self._steps)
        findings = [_with_highest(finding, groups) if finding.step == step else finding for finding in findings]
        fresh = [finding for finding in findings if self._is_news(finding, step)]
        self._write(fresh)
        self._last = fresh
        return fresh

    def check(self) -> None:
        """Raise DivergedError when the last step brought up something that ends the run, UpstreamError for an outage.

        What has a warning before it becomes an error ends the run as an error only.
        """
        for finding in self._last:
            if finding.name not in self._stop_on or (
                finding.name in _GRADED and finding.severity is not Severity.ERROR
            ):
                continue
            kind = UpstreamError if finding.name == "failed_rollouts" else DivergedError
            where = f"{finding.name}, step {finding.step}"
            raise kind(80, finding.evidence, where=where, next_step=finding.what_to_do)

    def _is_news(self, finding: Finding, step: int) -> bool:
        """A jump is news in its own step only, what lasts is said again now and then."""
        if finding.name == "reward_jump" and finding.step != step:
            return False
        key = finding.name, finding.severity
        if step - self._said.get(key, -_SILENT_STEPS) < _SILENT_STEPS:
            return False
        self._said[key] = step
        return True

    def _write(self, findings: Sequence[Finding]) -> None:
        if not findings or self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            for finding in findings:
                file.write(finding.model_dump_json() + "\n")
                _log.warning("%s: %s; %s", finding.name, finding.evidence, finding.what_to_do)


def _with_highest(finding: Finding, groups: Sequence[Group], count: int = 3) -> Finding:
    """Return a jump of this step with the lines of the rollouts that earned most."""
    if finding.name != "reward_jump":
        return finding
    rewards = [value if value is not None else -math.inf for group in groups for value in group.values]
    lines = sorted(range(len(rewards)), key=lambda line: -rewards[line])[:count]
    names = ", ".join(f"trajectories/step-{finding.step:06d}.jsonl:{line + 1}" for line in lines)
    return finding.model_copy(update={"evidence": f"{finding.evidence}; highest: {names}"})


def _some(num_rollouts: int, step: int) -> list[int]:
    """Return the places of the rollouts that are looked at: one by lot in each of equal parts, so that no group that
    is large enough is left out, and others in every step."""
    lot, num_parts = Random(step), min(MAX_EXAMINED, num_rollouts)
    edges = [part * num_rollouts // num_parts for part in range(num_parts + 1)] if num_parts else [0]
    return [lot.randrange(start, end) for start, end in pairwise(edges)]
