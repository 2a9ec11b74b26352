"""The doctor finds what is wrong with a run's numbers, and nothing where nothing is."""

from __future__ import annotations

import math

import pytest

from agent.grpo.doctor import examine_metrics, examine_steps, most_repeated, reward_jumps
from agent.grpo.findings import CATALOGUE, FindingName, Severity, found
from agent.grpo.groups import Group
from agent.grpo.live_doctor import MAX_EXAMINED, LiveDoctor
from agent.rollout import Rollout
from inbox_env.actions import StopReason
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.base import Reward


def healthy(num_steps=30, **changes):
    """Rows of a run that learns; a change is a list of values, or a function of the step."""
    rows = []
    for step in range(1, num_steps + 1):
        row = {
            "step": step,
            "reward_mean": 0.01 * step + (0.02 if step % 2 else -0.02),
            "zero_spread_fraction": 0.3,
            "truncated_fraction": 0.05,
            "entropy": 1.5 - 0.02 * step,
            "mismatch_kl": 2e-4,
            "grad_norm": 0.5,
            "trained_tokens": 1000,
        }
        rows.append(row | {name: change(step) for name, change in changes.items()})
    return rows


def names(findings):
    return [finding.name for finding in findings]


def test_a_healthy_run_is_healthy():
    assert examine_metrics(healthy()) == []
    assert examine_metrics([]) == examine_steps({}) == []


ILL = {
    "mismatch_kl": (lambda step: 0.03, "mismatch_kl", Severity.WARNING),
    "zero_spread": (lambda step: 0.9, "zero_spread_fraction", Severity.WARNING),
    "truncated": (lambda step: 0.4 if step > 20 else 0.1, "truncated_fraction", Severity.WARNING),
    "entropy_collapse": (lambda step: 1.5 * 0.8**step, "entropy", Severity.WARNING),
    "reward_jump": (lambda step: 0.1 + 0.01 * (step % 3) + 0.6 * (step >= 25), "reward_mean", Severity.WARNING),
    "not_finite": (lambda step: math.nan if step == 7 else 0.5, "grad_norm", Severity.ERROR),
    "stale_groups": (lambda step: 2 * (step == 4), "stale_groups", Severity.NOTE),
}


@pytest.mark.parametrize("name", ILL)
def test_each_illness_is_found_alone_with_its_place_and_a_cure(name):
    change, metric, severity = ILL[name]
    (finding,) = examine_metrics(healthy(**{metric: change}))
    assert (finding.name, finding.severity) == (name, severity)
    assert finding.what_it_means
    assert finding.what_to_do
    assert any(digit.isdigit() for digit in finding.evidence)


def test_a_mismatch_that_grows_with_every_update_means_old_weights():
    growing = healthy(mismatch_kl=lambda step: 1e-6 * 2.0 ** min(step, 18))
    assert "sampler_has_old_weights" in names(examine_metrics(growing))
    constant = healthy(mismatch_kl=lambda step: 0.03)
    assert "sampler_has_old_weights" not in names(examine_metrics(constant))
    assert examine_metrics(healthy(mismatch_kl=lambda step: 1e-5 * step)) == []


def test_what_is_short_or_taught_nothing_is_not_judged():
    assert examine_metrics(healthy(9, zero_spread_fraction=lambda _: 1.0, entropy=lambda _: 0.0)) == []
    assert examine_metrics(healthy(trained_tokens=lambda _: 0, entropy=lambda _: 0.0, mismatch_kl=lambda _: 0.0)) == []


def test_a_jump_is_named_by_its_step_and_a_steady_or_noisy_rise_is_none():
    (jump,) = reward_jumps(healthy(reward_mean=lambda step: 0.1 + 0.7 * (step >= 12)))
    assert (jump.step, "step 12" in jump.evidence) == (12, True)
    assert list(reward_jumps(healthy(reward_mean=lambda step: 0.05 * step))) == []
    assert list(reward_jumps(healthy(reward_mean=lambda step: 0.3 * (step % 2)))) == []
    assert list(reward_jumps(healthy(reward_mean=lambda step: 0.8 - 0.7 * (step >= 12)))) == []


def rewarded(values, stds=None):
    stds = [math.nan] * len(values) if stds is None else stds
    return [
        {"step": step, "reward_mean": value, "reward_std": std}
        for step, (value, std) in enumerate(zip(values, stds, strict=True), 1)
    ]


def coins(values):
    """Rewards of 0 and 1 with these means."""
    return rewarded(values, [math.sqrt(value * (1 - value)) for value in values])


def jump_steps(rows):
    return [jump.step for jump in reward_jumps(rows)]


@pytest.mark.parametrize("make", [rewarded, coins])
def test_a_jump_is_measured_by_the_rewards_own_spread_and_from_the_fourth_step_on(make):
    assert jump_steps(make([0.012, 0.010, 0.013, 0.012, 0.011, 0.012, 0.19, 0.20, 0.19])) == [7]
    assert jump_steps(make([0.012, 0.010, 0.013, 0.19])) == [4]
    assert jump_steps(make([0.11, 0.12, 0.10, 0.90, 0.91])) == [4]
    assert jump_steps(make([0.01, 0.02, 0.015, 0.03, 0.05, 0.07, 0.08, 0.11])) == []
    assert jump_steps(make([0.5, 0.52, 0.49, 0.51, 0.6, 0.5, 0.62])) == []


def test_the_first_right_answers_are_no_jump_and_a_third_of_them_at_once_is():
    assert jump_steps(coins([0.0, 0.0, 0.0, 0.0, 0.05, 0.1, 0.15])) == []
    assert jump_steps(coins([0.0] * 5 + [0.35])) == [6]


def test_the_noise_of_a_run_that_learns_at_once_is_no_jump():
    """The first steps of the laptop run, whose rewards lie .6 apart: it triples within seven steps."""
    learning = [0.376, 0.372, 0.577, 0.703, 0.517, 0.816, 1.009, 0.715, 0.818, 0.876, 0.891, 1.034, 0.94]
    assert jump_steps(rewarded(learning, [0.6] * len(learning))) == []
    assert jump_steps(rewarded(learning)) == []


def episode(*keywords, stop_reason=StopReason.ANSWERED):
    turns = [
        Turn(text="", results=(ToolResultRecord(name="search_emails", arguments={"keywords": word}, content=""),))
        for word in keywords
    ]
    return Trajectory(
        question_id="q", inbox="i", policy="p", question="?", opening="", turns=tuple(turns), stop_reason=stop_reason
    )


def test_loops_and_outages_are_named_by_file_and_line():
    assert [most_repeated(episode(*words)) for words in ((), ("a", "b"), ("a", "b", "a"))] == [0, 1, 2]
    loop, fine = episode("a", "a", "b", "a"), episode("a", "b", "c")
    (finding,) = examine_steps({3: [fine, loop, fine, fine]})
    assert (finding.name, finding.severity) == ("repeated_calls", Severity.WARNING)
    assert "trajectories/step-000003.jsonl:2" in finding.evidence
    assert examine_steps({3: [loop] + [fine] * 19}) == []
    failed = episode(stop_reason=StopReason.ERROR)
    for num_failed, severity in ((0, None), (1, None), (2, "warning"), (3, "error")):
        findings = examine_steps({1: [failed] * num_failed + [fine] * (20 - num_failed)})
        assert [finding.severity for finding in findings] == ([severity] if severity else [])


def test_every_name_has_a_meaning_and_evidence_is_bounded():
    assert set(CATALOGUE) == set(FindingName.__args__)
    assert len(found("truncated", Severity.NOTE, "x" * 10_000).evidence) == 600


def test_a_jump_names_the_highest_rollouts_of_its_step_while_the_run_goes_on(tmp_path, chat):
    doctor = LiveDoctor(tmp_path, chat, [])
    rollouts = tuple(Rollout(episode("a"), None) for _ in range(4))
    rewards = tuple(Reward.of({"x": value}) for value in (0.1, 0.9, 0.2, 0.8))
    said = [
        doctor.look([Group(None, rollouts, rewards)], {"step": step, "reward_mean": 0.1 + 0.5 * (step >= 8)})
        for step in range(1, 12)
    ]
    assert [names(findings) for findings in said] == [[]] * 7 + [["reward_jump"]] + [[]] * 3
    assert "highest: trajectories/step-000008.jsonl:2, trajectories/step-000008.jsonl:4, " in said[7][0].evidence
    doctor.check()


def test_tokens_are_sampled_over_all_groups_of_a_step_by_a_lot_of_its_number(tmp_path, chat, monkeypatch):
    """A fault of the last group alone is seen, and each step looks at other rollouts, the same in every process."""
    looked = []
    monkeypatch.setattr(
        "agent.grpo.live_doctor.examine_tokens",
        lambda rollouts, chat, step, lines: looked.append((rollouts, lines)) or [],
    )
    rollouts = tuple(Rollout(episode("a"), number) for number in range(64))
    groups = [Group(None, rollouts[start : start + 8], ()) for start in range(0, 64, 8)]
    for doctor in (LiveDoctor(tmp_path, chat, []), LiveDoctor(None, chat, [])):
        for step in (1, 2):
            doctor.look(groups, {"step": step})
    (first, lines), (second, _), *again = looked
    assert [one.trace + 1 for one in first] == lines
    assert {one.trace // 8 for one in first} == set(range(8))
    assert [one.trace for one in first] != [one.trace for one in second]
    assert looked[:2] == again
    assert len(first) == MAX_EXAMINED
