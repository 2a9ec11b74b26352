"""What a step's groups and update say in numbers: the rows of `metrics.jsonl`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev

from agent.grpo.groups import CUT, Group
from agent.grpo.update import Update
from inbox_env.actions import StopReason
from rewards.ladder import Mode, correctness


def rollout_metrics(groups: Sequence[Group], mode: Mode) -> dict[str, float]:
    """Return the metrics of how the step's rollouts went."""
    rollouts = [(member, group.question) for group in groups for member in group.rollouts]
    trajectories = [member.trajectory for member, _ in rollouts]
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    scored = [value for group in groups for value in group.values if value is not None]
    right = [correctness(one.trajectory, question, mode) for one, question in rollouts if question.is_labelled]
    return {
        "reward_mean": fmean(scored) if scored else 0.0,
        "reward_std": pstdev(scored) if scored else 0.0,
        "accuracy": fmean(right) if right else 0.0,
        "num_turns_mean": len(turns) / len(trajectories),
        "invalid_rate": sum(any(result.is_error for result in turn.results) for turn in turns) / max(1, len(turns)),
        "abstain_rate": fmean(trajectory.stop_reason is StopReason.GAVE_UP for trajectory in trajectories),
        "truncated_fraction": fmean(trajectory.stop_reason in CUT for trajectory in trajectories),
        "unscorable_fraction": fmean(value is None for group in groups for value in group.values),
        "bad_reward_fraction": sum(group.num_bad_rewards for group in groups) / len(rollouts),
        "zero_spread_fraction": fmean(not group.has_spread for group in groups),
        "generated_tokens": sum(sum(member.trace.action_mask) for member, _ in rollouts if member.trace),
    }


def update_metrics(learnt: Update) -> dict[str, float]:
    """Return the metrics of the optimiser step."""
    return {
        "loss": learnt.loss,
        "grad_norm": learnt.grad_norm,
        "trained_tokens": learnt.num_tokens,
        "is_skipped": float(not learnt.is_finite),
        **learnt.statistics.means(),
        **learnt.mismatch.means(),
    }
