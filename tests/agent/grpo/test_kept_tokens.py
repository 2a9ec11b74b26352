"""The tokens that a run keeps are those it was trained on, with the numbers of that very update."""

from __future__ import annotations

import pytest

from agent.grpo.trainer import GrpoTrainer
from agent.token_records import FOLDER, read_token_records, token_path
from inbox_env.trajectory import read_trajectories
from rewards.base import Reward
from scripts.playground.run_source import Source
from tests.agent.tiny import make_config, make_model

GROUPS = {"steps": 2, "questions_per_step": 3, "group_size": 4}


def letters(trajectory, question):
    """A reward that differs between any two rollouts."""
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def train(folder, arena, chat, **sections):
    folder.mkdir(parents=True, exist_ok=True)
    trainer = GrpoTrainer(make_config(folder, **sections), make_model(), chat, arena, arena, folder)
    trainer.grader.reward_fn = letters
    trainer.train()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, arena, chat):
    return train(tmp_path_factory.mktemp("run"), arena, chat, grpo={**GROUPS, "share_prefixes": True})


def test_they_are_the_rollouts_of_one_group_as_they_were_played(run, chat):
    for step in (1, 2):
        played = list(read_trajectories(run / "trajectories" / f"step-{step:06d}.jsonl"))
        records = list(read_token_records(token_path(run, step)))
        assert 2 <= len(records) <= 4
        assert len({record.question_id for record in records}) == 1
        for record in records:
            trajectory = played[record.line - 1]
            assert trajectory.question_id == record.question_id
            assert len(record.tokens) == len(record.mask)
            assert sum(record.mask) == sum(turn.num_tokens for turn in trajectory.turns)
            assert trajectory.question in "".join(record.tokens)
            numbers = (record.sampled, record.logprobs, record.old_logprobs, record.advantages)
            assert [len(column) for column in numbers] == [sum(record.mask)] * 4


def test_on_policy_the_trainer_says_what_the_sampler_said(run):
    records = [record for step in (1, 2) for record in read_token_records(token_path(run, step))]
    for record in records:
        assert record.logprobs == pytest.approx(record.sampled, abs=1e-3)
        assert record.old_logprobs == record.sampled
        assert record.weights is None


def test_their_advantages_are_those_that_a_reader_of_the_run_derives(tmp_path, arena, chat):
    config = {**GROUPS, "advantage_scale": "batch", "baseline": "leave_one_out"}
    run = train(tmp_path, arena, chat, grpo=config)
    (run / "config.json").write_text(make_config(run, grpo=config).model_dump_json(), encoding="utf-8")
    source = Source(run)
    source.refresh()
    records = list(read_token_records(token_path(run, 1)))
    rows = [source.row("trajectories/step-000001.jsonl", record.line) for record in records]
    assert any(row.advantage for row in rows)
    for record, row in zip(records, rows, strict=True):
        assert record.advantages == pytest.approx([row.advantage] * sum(record.mask), abs=1e-4)


def test_several_updates_a_step_and_corrections_are_seen(tmp_path, arena, chat):
    loss = {"kind": "grpo", "mismatch": "token_truncate"}
    run = train(tmp_path, arena, chat, grpo={**GROUPS, "updates_per_step": 2}, loss=loss)
    records = list(read_token_records(token_path(run, 1)))
    assert all(len(record.weights) == sum(record.mask) for record in records)
    ratios = [new - old for one in records for new, old in zip(one.logprobs, one.old_logprobs, strict=True)]
    assert max(map(abs, ratios)) > 1e-3, "the second update trains with weights that the first one moved"


@pytest.mark.parametrize("change", [{"kept_token_groups": 0}, {"save_trajectories": False}])
def test_none_are_kept_where_none_are_wanted(tmp_path, arena, chat, change):
    run = train(tmp_path, arena, chat, grpo={**GROUPS, "steps": 1}, run=change)
    assert not (run / FOLDER).exists()


def test_more_groups_can_be_kept(tmp_path, arena, chat):
    run = train(tmp_path, arena, chat, grpo={**GROUPS, "steps": 1}, run={"kept_token_groups": 2})
    lines = {(record.line - 1) // 4 for record in read_token_records(token_path(run, 1))}
    assert len(lines) == 2
