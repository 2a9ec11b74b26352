"""Metrics: one documented JSON row per optimiser step in `metrics.jsonl`.

The names here are the only ones a run may log; README's glossary is checked against them. Knows nothing of how
a number was made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "step": "number of the optimiser step, from 1",
        "reward_mean": "mean reward of the step's scored rollouts",
        "reward_std": "standard deviation of the same rewards",
        "accuracy": "share of the step's rollouts that were right, right abstentions included",
        "num_turns_mean": "mean number of turns of a rollout",
        "invalid_rate": "share of turns that held an invalid call",
        "abstain_rate": 'share of rollouts that answered "I don\'t know"',
        "truncated_fraction": "share of rollouts cut by a token or context limit",
        "unscorable_fraction": "share of rollouts without a reward, which are masked",
        "bad_reward_fraction": "share of rollouts whose reward was no number or out of range, which are masked",
        "judged_fraction": "share of rollouts whose answer needed a verdict (this and the next: with a judge)",
        "judge_rule_fraction": "share of their verdicts that a rule gave: no answer at all, or words to the judge",
        "judge_cached_fraction": "share of their verdicts that were on file or asked for at the same time",
        "judge_unscorable_fraction": "share of them that got no verdict: the judge failed or was not readable",
        "judge_calls": "calls of the judge since the step before",
        "judge_cost": "dollars that they cost, where litellm knows the price",
        "zero_spread_fraction": "share of sampled groups whose rewards were all equal and that taught nothing",
        "staleness": "updates between the weights that sampled and those that were trained (with grpo.max_staleness)",
        "stale_groups": "groups that were dropped because they were older than grpo.max_staleness allows",
        "loss": "value of the policy loss, nats times advantage per sampled token",
        "entropy": "mean entropy of the policy at the sampled tokens, nats",
        "kl": "k3 estimate of how far the trained policy is from the one before the step, nats per token",
        "ref_kl": "k3 estimate of how far the trained policy is from the reference, nats per token (when trained on)",
        "mismatch_kl": "k3 estimate of how far the trainer is from the sampler under the same weights, nats per token",
        "mismatch_max": "largest difference of a token's logprob between them, nats",
        "probe_change": "how much the update changed the trainer's logprobs of a fixed text, nats (root mean square)",
        "probe_followed": "share of that change that the sampler shows after it got the weights; near 1",
        "probe_error": "standard error of that share: what rounding leaves open",
        "correction_mean": "mean weight that corrects for it; 1 without correction",
        "ratio_mean": "mean importance ratio of the trained policy to the one before the step; 1 on policy",
        "clip_fraction": "share of sampled tokens whose update was clipped",
        "silenced_fraction": "share of sampled tokens that the entropy mask or the correction gave the weight 0",
        "grad_norm": "norm of the gradient before clipping",
        "is_skipped": "1 when an update was refused and the weights were left alone, else 0",
        "learning_rate": "learning rate of the step",
        "seconds": "wall time of the step",
        "sample_seconds": "wall time spent sampling, acting and grading",
        "train_seconds": "wall time spent in forward, backward and the optimiser",
        "generated_tokens": "tokens sampled for the step, dropped groups included",
        "trained_tokens": "tokens in the step's forward and backward passes",
        "eval_accuracy": "share of held-out questions answered right, on steps with an evaluation",
    }
)


class MetricsWriter:
    """Appends rows to a JSON Lines file that other processes may read while the run goes on."""

    def __init__(self, path: Path | None, *, after_step: int = 0) -> None:
        """Open `path`, keeping the rows up to step `after_step` (0: none) and removing later and torn ones.

        Without a path rows are checked and go nowhere: another process of the run writes them.
        """
        self.path = path
        self._file: TextIO | None = None
        if path is None:
            return
        kept = [row for row in read_metrics(path) if row["step"] <= after_step] if path.is_file() else []
        beside = path.with_name(path.name + ".partial")
        beside.write_text("".join(_line(row) for row in kept), encoding="utf-8")
        beside.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row, with null for a number that is not finite.

        Raises ValueError for a name that METRICS does not know and for a row without a step.
        """
        if unknown := row.keys() - METRICS.keys():
            raise ValueError(f"undocumented metric: {', '.join(sorted(unknown))}")
        if "step" not in row:
            raise ValueError("a row of metrics needs a step")
        if self._file is not None:
            self._file.write(_line(row))
            self._file.flush()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            self._file.close()


def read_metrics(path: Path) -> Iterator[dict[str, float]]:
    """Yield the rows of a metrics file up to the first torn line, which a killed run may leave at the end."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                return
            yield {name: math.nan if value is None else value for name, value in row.items()}


def _line(row: Mapping[str, float]) -> str:
    ordered = {name: row[name] if math.isfinite(row[name]) else None for name in METRICS if name in row}
    return json.dumps(ordered) + "\n"
