"""The laptop run in small: from the committed base model a few steps of GRPO must raise the reward."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
import torch

from agent.grpo.metrics import METRICS, read_metrics
from agent.policies import load_policy
from inbox_env.actions import StopReason
from inbox_env.questions import read_questions
from inbox_env.trajectory import read_trajectories
from scripts.cli import main

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "data" / "base"
SETTINGS = {
    "model.path": BASE,
    "data.synthetic.train.seeds": "[1, 2]",
    "data.synthetic.dev.seeds": "[1]",
    "data.synthetic.test.seeds": "[1]",
    "data.synthetic.test.num_questions": 24,
    "run.checkpoint_every": 4,
    "grpo.steps": 8,
    "grpo.questions_per_step": 8,
    "grpo.group_size": 8,
    "grpo.decay_from": 1.0,
    "eval.every": 0,
    "eval.num_test_questions": 24,
    "eval.temperature": 0.0,  # so that another play of the same questions can be compared
}
ROLES = {"baseline", "demonstrator", "base", "trained", "oracle"}
POLICY_KEYS = {
    "name", "role", "split", "num_questions", "num_correct", "accuracy", "ci95", "found", "read", "cited",
    "mean_turns", "invalid_calls", "abstained_right", "abstained_wrong", "answered_wrong",
}  # fmt: skip
TRAIN_KEYS = {"steps", "seconds", "generated_tokens", "trained_tokens", "peak_rss_mb", "seed"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of one small run of the laptop configuration."""
    if not (BASE / "config.json").is_file():
        pytest.skip(f"no base model at {BASE}: make it with `mailsleuth pretrain`")
    folder = tmp_path_factory.mktemp("laptop")
    options = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    arguments = ["train", "--config", str(ROOT / "scripts" / "configs" / "laptop.toml"), "--set", f"run.out={folder}"]
    num_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the cache of invented inboxes goes there
        assert main([*arguments, *options]) == 0
    torch.set_num_threads(num_threads)
    return folder / "laptop"


@pytest.mark.slow
def test_the_reward_rises_within_a_few_steps(run):
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert all(set(row) <= set(METRICS) for row in rows)
    rewards = [row["reward_mean"] for row in rows]
    assert fmean(rewards[-3:]) > fmean(rewards[:3]) + 0.05, rewards
    ratios = [row["ratio_mean"] for row in rows]
    assert ratios == pytest.approx([1.0] * 8, abs=0.01)


@pytest.mark.slow
def test_the_summary_has_the_documented_keys(run):
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert {report["role"] for report in summary["policies"]} == ROLES
    for report in summary["policies"]:
        assert set(report) >= POLICY_KEYS
        assert report["num_questions"] == 24
        low, high = report["ci95"]
        assert 0 <= low <= report["accuracy"] <= high <= 1
    assert set(summary["train"]) >= TRAIN_KEYS
    assert summary["train"]["steps"] == 8
    assert summary["train"]["generated_tokens"] > 0
    assert {"python", "mailsleuth", "torch"} <= set(summary["versions"])
    accuracy = {report["role"]: report["accuracy"] for report in summary["policies"]}
    assert accuracy["oracle"] == 1.0


@pytest.mark.slow
def test_the_report_stands_alone(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "trained" in page
    assert not [word for word in ('src="http', 'href="http', "@import") if word in page]
    assert (run / "report.md").read_text(encoding="utf-8").startswith("# ")
    assert len((run / "samples.jsonl").read_text(encoding="utf-8").splitlines()) == 5


@pytest.mark.slow
async def test_the_trained_model_plays_from_its_folder_as_it_was_evaluated(run):
    from agent.arena import Arena
    from agent.rollout import rollout_many

    (mailbox,) = (run.parent / "data" / "cache").glob("test-*.db")
    questions = read_questions(mailbox.with_suffix(".jsonl"))[:8]
    policy = load_policy(f"local:{run}")
    arena = Arena.open(mailbox, questions, policy.limits)
    plays = [one.trajectory for one in await rollout_many(policy, arena.envs())]
    assert not [one.error for one in plays if one.stop_reason is StopReason.ERROR]
    evaluated = {one.question_id: one for one in read_trajectories(run / "evaluation" / "trained.jsonl")}
    same = [one.answer == evaluated[one.question_id].answer for one in plays]
    assert fmean(same) > 0.8  # batches of another size round differently


@pytest.mark.slow
def test_training_rollouts_are_kept_with_their_rewards(run):
    files = sorted((run / "trajectories").iterdir())
    assert len(files) == 8
    kept = list(read_trajectories(files[0]))
    assert len(kept) % 8 == 0
    assert all(one.reward is not None for one in kept if one.stop_reason is not StopReason.ERROR)
    assert {one.inbox for one in kept} <= {"train-001", "train-002"}
