"""Row F41 by default: a run that loses too many rollouts to an outage is saved and ends, to be resumed."""

from __future__ import annotations

import pytest
import torch

from agent.grpo.doctor import examine_steps
from agent.policies.local import LocalActor
from inbox_env.actions import StopReason
from inbox_env.errors import ExitCode
from inbox_env.trajectory import Trajectory
from scripts.cli import main
from tests.agent.tiny import make_tokenizer, write_model_folder
from tests.faults.killed_run import by_letters
from tests.faults.test_training_faults import CONFIG, SYNTHETIC, assert_refused, num_rows


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    write_model_folder(tmp_path / "base", make_tokenizer())
    (tmp_path / "run.toml").write_text(CONFIG + SYNTHETIC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agent.make_grader.make_ladder", lambda config: by_letters)
    num_threads = torch.get_num_threads()

    def run(*options):
        code = main(["train", "--config", "run.toml", "--set", f"run.out={tmp_path}", *options])
        return code, capsys.readouterr().err

    yield run
    torch.set_num_threads(num_threads)


def test_f41_a_run_that_loses_more_than_a_tenth_of_its_rollouts_is_saved_and_can_be_resumed(
    train, tmp_path, monkeypatch
):
    """By default, and through the whole command: the third step meets an outage."""
    act, steps, stop_at = LocalActor.act, [], 3

    async def fail_sometimes(self, observation):
        if len(steps) + 1 == stop_at:
            raise ConnectionError("no tool answers")
        return await act(self, observation)

    monkeypatch.setattr(LocalActor, "act", fail_sometimes)
    monkeypatch.setattr("agent.tracking.Tracker.log", lambda _, row: steps.append(row))
    outcome = train("--set", "run.checkpoint_every=100", "--set", "eval.num_test_questions=1")
    assert_refused(outcome, ExitCode.UPSTREAM, "4 of the last 12 episodes", "failed_rollouts, step 3")
    run = tmp_path / "run"
    assert num_rows(run) == [1, 2, 3]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-000003"]
    stop_at = 0
    assert train("--set", "run.checkpoint_every=100", "--set", "eval.num_test_questions=1", "--resume") == (0, "")
    assert num_rows(run) == [1, 2, 3, 4]


def test_f41_one_lost_rollout_of_a_small_run_does_not_end_it():
    facts = {"question_id": "q", "inbox": "i", "policy": "p", "question": "?", "opening": "", "turns": ()}
    played = [Trajectory(**facts, stop_reason=reason) for reason in (StopReason.ERROR, *[StopReason.ANSWERED] * 3)]
    assert [str(finding.severity) for finding in examine_steps({1: played})] == ["warning"]
