"""`doctor RUN` on a run that was really trained, and on copies of it that were damaged one way at a time."""

from __future__ import annotations

import json
import shutil

import pytest

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.grpo.findings import Severity
from agent.grpo.live_doctor import FILE
from agent.grpo.trainer import GrpoTrainer
from agent.policies.local import LocalActor
from inbox_env.errors import DivergedError, ExitCode, UsageError
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from rewards.base import Reward
from scripts.cli import main
from scripts.doctor_run import examine_run, exit_code
from tests.agent.tiny import LIMITS, make_config, make_model, make_tokenizer


@pytest.fixture(scope="module")
def chat():
    return ChatFormat(make_tokenizer())


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    mailbox = tmp_path_factory.mktemp("arena") / "mail.db"
    build_inbox(mailbox, inbox.name, inbox.emails, owner=inbox.owner)
    return Arena.open(mailbox, inbox.questions, LIMITS)


def by_letters(trajectory, question):
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def train(folder, arena, chat, **sections):
    folder.mkdir(parents=True, exist_ok=True)
    config = make_config(folder, **sections)
    (folder / "config.json").write_text(config.model_dump_json())
    trainer = GrpoTrainer(config, make_model(), chat, arena, arena, folder)
    trainer.grader.reward_fn = by_letters
    trainer.train()
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, arena, chat):
    return train(tmp_path_factory.mktemp("runs") / "run", arena, chat)


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def names(run):
    return [finding.name for finding in examine_run(run)]


def rewrite(path, change):
    """Apply `change` to the JSON of the first line."""
    first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    change(row)
    path.write_text("\n".join([json.dumps(row), *rest]) + "\n")


def test_a_run_as_it_was_trained_is_healthy(run, capsys):
    assert examine_run(run) == []
    assert main(["doctor", str(run)]) == ExitCode.OK
    assert "healthy" in capsys.readouterr().out


def test_what_a_kill_leaves_is_healthy_too(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "rew')
    (run / "trajectories" / "step-000005.jsonl").write_text('{"question_id": "tor')
    (run / "checkpoints" / "step-000006.partial").mkdir()
    (run / FILE).write_text('{"name": "trunc')
    assert examine_run(run) == []


def test_a_run_without_a_step_is_healthy(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert examine_run(tmp_path) == []


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        examine_run(tmp_path)


def change_a_reward(run):
    rewrite(run / "trajectories" / "step-000002.jsonl", lambda row: row.update(reward=row["reward"] + 0.5))


def lose_a_turn(run):
    rewrite(run / "trajectories" / "step-000002.jsonl", lambda row: row["turns"].pop())


def lose_a_rollout(run):
    path = run / "trajectories" / "step-000003.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def tear_the_trajectories(run):
    path = run / "trajectories" / "step-000002.jsonl"
    path.write_bytes(path.read_bytes()[:-40])


def lose_a_step(run):
    (run / "trajectories" / "step-000002.jsonl").unlink()


def lose_a_row(run):
    path = run / "metrics.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def flip_a_bit(run):
    path = run / "checkpoints" / "step-000004" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def spoil_a_number(run):
    rewrite(run / "metrics.jsonl", lambda row: row.update(grad_norm=None))


@pytest.mark.parametrize(
    ("damage", "name", "code"),
    [
        (change_a_reward, "records_disagree", 3),
        (lose_a_turn, "records_disagree", 3),
        (lose_a_rollout, "records_disagree", 3),
        (tear_the_trajectories, "records_unreadable", 4),
        (lose_a_step, "records_missing", 3),
        (lose_a_row, "records_missing", 3),
        (flip_a_bit, "damaged_checkpoint", 4),
        (spoil_a_number, "not_finite", 3),
    ],
)
def test_every_damage_is_found_alone_and_named_with_its_place(run, damage, name, code):
    damage(run)
    findings = examine_run(run)
    assert [finding.name for finding in findings] == [name]
    assert exit_code(findings) == code
    assert "step" in findings[0].evidence


def test_findings_are_printed_for_people_and_for_programs(run, capsys):
    change_a_reward(run)
    assert main(["doctor", str(run)]) == ExitCode.REJECTS
    text = capsys.readouterr().out
    for part in ("ERROR records_disagree", "  do: ", "  see: step 2", "1 finding in 4 steps"):
        assert part in text
    assert main(["doctor", str(run), "--json"]) == ExitCode.REJECTS
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["name"] == "records_disagree"
    assert set(row) == {"name", "severity", "what_it_means", "what_to_do", "evidence", "step"}


def test_a_jump_names_the_rollouts_that_earned_most(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [rows[0] | {"step": step, "reward_mean": 0.1 + (step == 8)} for step in range(1, 9)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [json.loads(line) for line in (run / "trajectories" / "step-000001.jsonl").read_text().splitlines()]
    shutil.rmtree(run / "trajectories")
    (run / "trajectories").mkdir()
    content = [json.dumps(lines[0] | {"reward": reward}) + "\n" for reward in (1.0, 1.3, 1.0)]
    (run / "trajectories" / "step-000008.jsonl").write_text("".join(content))
    (jump,) = [finding for finding in examine_run(run) if finding.name == "reward_jump"]
    assert "highest: trajectories/step-000008.jsonl:2, " in jump.evidence


def sampled_wrongly(monkeypatch):
    """Make the policy remember another token than the one that it acted on."""
    act = LocalActor.act

    async def forgetful(self, observation):
        action = await act(self, observation)
        self._trace.token_ids[-2] = (self._trace.token_ids[-2] + 1) % 600 + 20
        return action

    monkeypatch.setattr(LocalActor, "act", forgetful)


def test_a_wrong_token_is_found_while_the_run_goes_on_and_remembered(tmp_path, arena, chat, monkeypatch):
    sampled_wrongly(monkeypatch)
    run = train(tmp_path / "run", arena, chat)
    finding = next(finding for finding in examine_run(run) if finding.name == "masks_differ_from_text")
    assert finding.severity is Severity.ERROR
    assert "step 1: line" in finding.evidence
    assert len((run / FILE).read_text().splitlines()) <= 2, "the same is not said every step"


def test_a_finding_stops_the_run_when_asked(tmp_path, arena, chat, monkeypatch):
    sampled_wrongly(monkeypatch)
    with pytest.raises(DivergedError, match="masks_differ_from_text") as caught:
        train(tmp_path / "run", arena, chat, grpo={"stop_on": ["masks_differ_from_text"]})
    assert caught.value.exit_code == ExitCode.DIVERGED
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_weights_that_stay_at_home_are_found_while_the_run_goes_on(tmp_path, arena, chat, monkeypatch):
    grpo = {"steps": 12, "learning_rate": 0.05, "stop_on": ["sampler_has_old_weights"]}
    with monkeypatch.context() as patch:
        patch.setattr("agent.sampling.torch_engine.TorchEngine.refresh", lambda _: None)
        with pytest.raises(DivergedError, match="sampler_has_old_weights"):
            train(tmp_path / "run", arena, chat, grpo=grpo)
    assert "sampler_has_old_weights" in names(tmp_path / "run")
    healthy = train(tmp_path / "healthy", arena, chat, grpo=grpo)
    assert "sampler_has_old_weights" not in names(healthy)
