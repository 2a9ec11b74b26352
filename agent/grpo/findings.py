"""Findings: what the doctor says of a run, each with what it means and what to do.

The names here are the ones that `grpo.stop_on` takes. Knows nothing of how something is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

FindingName = Literal[
    "masks_differ_from_text",
    "tokens_not_rederivable",
    "mismatch_kl",
    "sampler_has_old_weights",
    "zero_spread",
    "truncated",
    "entropy_collapse",
    "reward_jump",
    "repeated_calls",
    "failed_rollouts",
    "reward_bait",
    "stale_groups",
    "not_finite",
    "records_disagree",
    "records_missing",
    "records_unreadable",
    "damaged_checkpoint",
]


class Severity(StrEnum):
    """note: worth knowing; warning: the run may be wasted; error: its numbers cannot be trusted."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Finding(BaseModel):
    """One thing that is wrong; `evidence` says where, by step, file and line, never with text of mails."""

    model_config = ConfigDict(frozen=True)

    name: FindingName
    severity: Severity
    what_it_means: str
    what_to_do: str
    evidence: str
    step: int = 0


def found(name: FindingName, severity: Severity, evidence: str, step: int = 0) -> Finding:
    """Return the finding `name` with its meaning and advice."""
    meaning, advice = CATALOGUE[name]
    return Finding(
        name=name, severity=severity, what_it_means=meaning, what_to_do=advice, evidence=evidence[:600], step=step
    )


CATALOGUE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "masks_differ_from_text": (
            "The tokens that are trained on do not say what the trajectory says was done: the wrong tokens learn.",
            "Stop. Check the chat format of this tokenizer; report it with the trajectory.",
        ),
        "tokens_not_rederivable": (
            "Prompt or tool results do not encode to the tokens that the policy saw: it learns from another text.",
            "Stop. Check that tokenizer and template are the model's own and did not change during the run.",
        ),
        "mismatch_kl": (
            "Sampler and trainer disagree about the probability of the same tokens under the same weights.",
            'Set loss.mismatch = "token_truncate", give both the same precision, check --logprobs-mode of the servers.',
        ),
        "sampler_has_old_weights": (
            "New weights do not reach the sampler: what it says of a fixed text does not follow the trainer's updates.",
            "Stop. Check that the servers see sampling.weights_folder, and their log for loaded adapters.",
        ),
        "zero_spread": (
            "Most groups have equal rewards and teach nothing: the questions are too easy, or too hard.",
            "Raise grpo.group_size, use a warm start, or set grpo.curriculum to middling.",
        ),
        "truncated": (
            "Many episodes are cut by a token limit or the deadline before they answer.",
            "Raise sampling.max_new_tokens or max_context, or penalise length (reward.cut_short).",
        ),
        "entropy_collapse": (
            "The policy says the same thing whatever it is asked, and explores no longer.",
            "Lower grpo.learning_rate, raise loss.kl or the temperature, go back to an earlier checkpoint.",
        ),
        "reward_jump": (
            "The mean reward rose suddenly: often a way around the task was found, not a way to solve it.",
            "Read the named trajectories before you believe the curve.",
        ),
        "repeated_calls": (
            "Episodes make the same call three times or more: the policy loops.",
            "Read the named trajectories; lower env.max_turns or penalise calls (reward.brevity_bonus).",
        ),
        "failed_rollouts": (
            "Episodes ended in an outage of sampler or tools; they are masked and teach nothing.",
            "Look at the error of the named trajectories, then at the log of the server.",
        ),
        "reward_bait": (
            "Episodes were shown mail that offers a reward for an answer or says which one is right.",
            "Rewards do not read mail; see in the named trajectories whether the policy follows it, then leave it out.",
        ),
        "stale_groups": (
            "Groups were older than grpo.max_staleness allows and were dropped.",
            "Expected once after an interruption; otherwise lower grpo.max_staleness.",
        ),
        "not_finite": (
            "Metrics hold numbers that are not finite.",
            "Look at the first of these steps: gradient norm, rewards and learning rate before it.",
        ),
        "records_disagree": (
            "Metrics and trajectories of a step tell different numbers: one of the files was changed.",
            "Trust neither for that step; resume from the newest checkpoint to write later steps again.",
        ),
        "records_missing": (
            "Steps are missing from the metrics or the trajectories.",
            "Resume the run from its newest checkpoint, or leave these steps out of what you conclude.",
        ),
        "records_unreadable": (
            "A file of the run cannot be read.",
            "Restore it from a copy; the checkpoints are independent of it.",
        ),
        "damaged_checkpoint": (
            "A checkpoint is not what its manifest says; resuming passes it over.",
            "Remove the folder, or restore it from a copy.",
        ),
    }
)
