"""What judging took, step by step: rows for `metrics.jsonl`. Knows nothing of how it was judged."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from agent.grpo.distributed import ALONE, Peers
from agent.grpo.groups import Group
from inbox_env.trajectory import Verdict
from rewards.grader import Grader
from rewards.judge import RULE
from rewards.judge_model import Spent

WARN_SHARE = 0.5

_log = logging.getLogger(__name__)


class JudgeMeter:
    """Reads the counters of one grader, of all processes together."""

    def __init__(self, grader: Grader, peers: Peers = ALONE) -> None:
        self._grader, self._peers = grader, peers
        self._before = self._spent()

    def row(self, groups: Sequence[Group]) -> dict[str, float]:
        """Return the metrics of a step's groups, with what was spent since the last call; nothing without a judge."""
        if self._grader.judge is None and self._grader.ruler is None:
            return {}
        _warn(groups)
        before, self._before = self._before, self._spent()
        calls, cost = self._before.num_calls - before.num_calls, self._before.cost - before.cost
        return {
            "judge_calls": self._peers.sum(calls),
            "judge_cost": self._peers.sum(cost),
            **verdict_metrics(groups),
        }

    def _spent(self) -> Spent:
        source = self._grader.judge or self._grader.ruler
        return source.cache.spent() if source else Spent()


def _warn(groups: Sequence[Group]) -> None:
    """Say when most answers that needed a verdict got none: such a run learns from what is easy to match alone."""
    verdicts = [
        verdict for group in groups for one in group.rollouts if (verdict := one.trajectory.verdict) is not None
    ]
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.value == "unscorable")
    if reasons.total() > WARN_SHARE * len(verdicts):
        reason = reasons.most_common(1)[0][0]
        _log.warning("%d of %d answers got no verdict, most often: %s", reasons.total(), len(verdicts), reason)


def verdict_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Return how many rollouts needed a verdict, and what share of the verdicts came from where."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    verdicts = [verdict for rollout in rollouts if (verdict := rollout.trajectory.verdict) is not None]
    shares = {
        "judge_rule_fraction": [verdict.judge == RULE for verdict in verdicts],
        "judge_cached_fraction": [_is_cached(verdict) for verdict in verdicts],
        "judge_unscorable_fraction": [verdict.value == "unscorable" for verdict in verdicts],
    }
    means = {name: sum(flags) / len(flags) if flags else 0.0 for name, flags in shares.items()}
    return {"judged_fraction": len(verdicts) / max(1, len(rollouts)), **means}


def _is_cached(verdict: Verdict) -> bool:
    return verdict.judge != RULE and verdict.num_calls == 0
