"""What the guards of a run see is said, or ends it: updates that were refused, rewards and metrics gone astray.

Raises DivergedError, and nothing else; knows nothing of how a step is played or trained.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.grpo.divergence import dump_batch
from agent.grpo.groups import Group
from agent.grpo.guards import RunGuards
from agent.grpo.update import Update
from inbox_env.errors import DivergedError

MAX_SKIPPED_STEPS = 3

_log = logging.getLogger(__name__)


def check_update(guards: RunGuards, learnt: Update, step: int, run: Path | None) -> None:
    """Count an update that was refused and keep its numbers in `run`, if any; too many in a row end the run."""
    guards.num_skipped = 0 if learnt.is_finite else guards.num_skipped + 1
    if learnt.tensors and run is not None:
        path = dump_batch(run, step, learnt.tensors, learnt.reason)
        _log.warning("step %d skipped, %s: see %s", step, learnt.reason, path or "(not written)")
    if guards.num_skipped > MAX_SKIPPED_STEPS:
        raise DivergedError(
            10,
            f"{guards.num_skipped} steps in a row {learnt.reason}",
            where=f"step {step}",
            next_step="lower grpo.learning_rate and resume; the last checkpoint is finite",
        )


def check_rewards(guards: RunGuards, groups: Sequence[Group], step: int) -> None:
    """Say how many rewards of a step are masked for being no number; too many end the run."""
    num_bad, num_all = sum(group.num_bad_rewards for group in groups), sum(len(group.rewards) for group in groups)
    if num_bad:
        _log.warning("step %d: %d of %d rewards cannot be trusted and are masked", step, num_bad, num_all)
    if guards.rewards.note(num_bad, num_all):
        bad = (reward for group in groups if group.num_bad_rewards for reward in group.rewards)
        reason = next((reward.reason for reward in bad if reward.value is None), "")
        raise DivergedError(
            12,
            f"{num_bad} of {num_all} rewards cannot be trusted: {reason}",
            where=f"step {step}",
            next_step="mend the reward function; guards.max_bad_rewards is what may be masked",
        )


def check_thresholds(guards: RunGuards, row: Mapping[str, float], step: int) -> None:
    """Warn of a metric that has been beyond its limit for long; for longer ends the run, where that is asked for."""
    for finding in guards.thresholds.check(row):
        if finding.is_stop:
            raise DivergedError(13, str(finding), where=f"step {step}", next_step=finding.advice)
        _log.warning("step %d: %s; %s", step, finding, finding.advice)
