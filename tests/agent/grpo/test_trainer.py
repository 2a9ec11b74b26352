"""The loop: a resumed run is the undisturbed one, and what was learnt is what the sampler says next."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil

import pytest
import torch

from agent.arena import Arena
from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.loss import LossStatistics
from agent.grpo.metrics import read_metrics
from agent.grpo.refusals import MAX_SKIPPED_STEPS
from agent.grpo.trainer import GrpoTrainer
from agent.grpo.update import Update
from agent.policies.local import LocalPolicy
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, search
from agent.rollout import rollout_many
from agent.sampling.torch_engine import TorchEngine
from agent.segment_attention import enable_segment_attention
from agent.sft import demonstrate, imitate
from inbox_env.actions import StopReason
from inbox_env.errors import DivergedError
from inbox_env.trajectory import read_trajectories
from rewards.base import Reward
from tests.agent.tiny import CONTEXT, make_config, make_model

TIMES = {"seconds", "sample_seconds", "train_seconds"}


class Stopped(Exception):
    """What a test stops a run with."""


def spread(trajectory, question):
    """A reward that differs between any two rollouts, so that a model that knows nothing has something to learn."""
    text = trajectory.turns[0].text
    return Reward.of({"letters": sum(map(ord, text)) % 97 / 97})


def make_trainer(folder, arena, chat, *, model_seed=0, reward=spread, **sections):
    folder.mkdir(parents=True, exist_ok=True)
    config = make_config(folder, **sections)
    trainer = GrpoTrainer(config, make_model(model_seed), chat, arena, arena, folder)
    trainer.grader.reward_fn = reward or trainer.grader.reward_fn
    return trainer


def rows(folder):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(folder / "metrics.jsonl")]


def played(folder):
    """What every step's rollouts did and earned, without how long it took."""
    found = {}
    for path in sorted((folder / "trajectories").iterdir()):
        found[path.name] = [
            (one.question_id, one.reward, [(turn.text, turn.results) for turn in one.turns])
            for one in read_trajectories(path)
        ]
    return found


def assert_same_state(first, second):
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    ours, theirs = first._optimizer.state_dict(), second._optimizer.state_dict()
    assert json.dumps(ours["param_groups"]) == json.dumps(theirs["param_groups"])
    for number, values in ours["state"].items():
        for name, tensor in values.items():
            assert torch.equal(tensor, theirs["state"][number][name]), (number, name)
    assert first._order.state() == second._order.state()
    for name in ("step", "generated_tokens", "trained_tokens"):
        assert getattr(first, name) == getattr(second, name)


def test_a_resumed_run_equals_the_undisturbed_one_bit_for_bit(tmp_path, arena, chat):
    whole = make_trainer(tmp_path / "whole", arena, chat)
    whole.train()
    cut = make_trainer(tmp_path / "cut", arena, chat)

    def stop(row):
        if row["step"] == 3:  # one step after the checkpoint: its row must go
            raise Stopped

    with pytest.raises(Stopped):
        cut.train(stop)
    again = make_trainer(tmp_path / "cut", arena, chat, model_seed=99)
    assert again.resume()
    assert again.step == 2
    again.train()
    assert_same_state(whole, again)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    assert [row["step"] for row in rows(tmp_path / "cut")] == [1, 2, 3, 4]
    assert played(tmp_path / "whole") == played(tmp_path / "cut")
    assert any(row["grad_norm"] > 0 for row in rows(tmp_path / "cut"))


def test_a_run_that_is_done_stays_as_it_is(tmp_path, arena, chat):
    first = make_trainer(tmp_path, arena, chat, grpo={"steps": 2})
    first.train()
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = make_trainer(tmp_path, arena, chat, model_seed=99, grpo={"steps": 2})
    assert again.resume()
    again.train()
    assert_same_state(first, again)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_there_is_nothing_to_resume_in_a_new_folder(tmp_path, arena, chat):
    assert not make_trainer(tmp_path, arena, chat).resume()


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path, arena, chat):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_trainer(tmp_path / name, arena, chat, run={"seed": seed}, grpo={"steps": 2}).train()
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    assert played(tmp_path / "a") == played(tmp_path / "b")
    assert played(tmp_path / "a") != played(tmp_path / "c")


def test_steps_differ_from_each_other(tmp_path, arena, chat):
    make_trainer(tmp_path, arena, chat).train()
    texts = [[turns for _, _, turns in step] for step in played(tmp_path).values()]
    assert len({json.dumps(step, default=str) for step in texts}) == len(texts)


def test_the_importance_ratio_is_one_on_policy(tmp_path, arena, chat):
    """Sampler and trainer agree about every token's probability, also after weights changed and at a temperature."""
    make_trainer(tmp_path, arena, chat, sampling={"temperature": 0.7}).train()
    for row in rows(tmp_path):
        assert row["ratio_mean"] == pytest.approx(1.0, abs=1e-3)
        assert row["kl"] < 1e-5
        assert row["clip_fraction"] < 0.5


@pytest.fixture(scope="module")
def unanswerable(arena):
    """An arena in which saying "I don't know" is always right."""
    questions = [question for question in arena.questions if not question.answerable][:4]
    inboxes = {question.inbox: arena.inbox(question.inbox) for question in questions}
    return Arena(inboxes, questions, arena.limits.model_copy(update={"max_turns": 1}))


def taught(arena, chat):
    """A model that either searches or gives up, each about half of the time."""
    model = make_model(1)
    enable_segment_attention(model)

    async def lessons():
        policies = [
            ScriptedPolicy("s", lambda opening, random, act=act: (step for step in (act,)), perfect_reader({}))
            for act in (search("a"), answer(None))
        ]
        return [
            await demonstrate(policy, arena.env(question), chat, "laptop")
            for policy in policies
            for question in arena.questions
        ]

    traces = asyncio.run(lessons())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        imitate(model, optimizer, traces)
    return model


def give_up_rate(model, chat, arena, engine=None):
    engine = engine or TorchEngine(model, stop_token_ids=set(chat.stop_token_ids), max_rows=32, max_context=CONTEXT)
    policy = LocalPolicy(engine, chat, prompt="laptop", seed=5, max_new_tokens=30)
    plays = asyncio.run(rollout_many(policy, arena.envs(list(arena.questions) * 8)))
    return sum(one.trajectory.stop_reason is StopReason.GAVE_UP for one in plays) / len(plays)


def test_what_is_rewarded_is_what_the_sampler_says_after_a_few_steps(tmp_path, unanswerable, chat):
    model = taught(unanswerable, chat)
    before = give_up_rate(model, chat, unanswerable)
    assert 0.2 < before < 0.8
    grpo = {"steps": 6, "questions_per_step": 4, "group_size": 6, "learning_rate": 0.01, "retire_at": 1.0}
    config = make_config(tmp_path, grpo=grpo, sampling={"max_new_tokens": 30, "max_rows": 32}, env={"max_turns": 1})
    trainer = GrpoTrainer(config, model, chat, unanswerable, unanswerable, tmp_path)
    trainer.train()
    rewards = [row["reward_mean"] for row in rows(tmp_path)]
    assert rewards[-1] > rewards[0] + 0.15
    assert give_up_rate(model, chat, unanswerable, trainer.engine) > 0.9
    assert give_up_rate(model, chat, unanswerable) > 0.9


def test_a_step_without_a_finite_gradient_is_skipped_and_several_in_a_row_end_the_run(
    tmp_path, arena, chat, monkeypatch
):
    finite = iter([True, False, False, False, True, *[False] * 9])

    def fake_update(*_, **__):
        return Update(0.0, 1.0, 5, LossStatistics(), is_finite=next(finite))

    monkeypatch.setattr("agent.grpo.trainer.update", fake_update)
    trainer = make_trainer(tmp_path, arena, chat, grpo={"steps": 30})
    with pytest.raises(DivergedError, match=r"without a finite gradient.*step 9"):
        trainer.train()
    assert MAX_SKIPPED_STEPS == 3
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, 9))
    assert latest_checkpoint(tmp_path).name == "step-000008"


def test_weights_that_are_not_finite_end_the_run_at_once(tmp_path, arena, chat):
    trainer = make_trainer(tmp_path, arena, chat)
    with torch.no_grad():
        trainer.model.model.norm.weight[0] = float("nan")
    trainer.engine.refresh()
    with pytest.raises(DivergedError, match="not finite"):
        trainer.train()


def test_groups_without_spread_are_replaced_a_bounded_number_of_times(tmp_path, arena, chat):
    grpo = {"steps": 1, "questions_per_step": 3, "max_refills": 2}
    dull = make_trainer(tmp_path / "dull", arena, chat, reward=lambda *_: Reward.of({"x": 1.0}), grpo=grpo)
    before = {name: tensor.clone() for name, tensor in dull.model.state_dict().items()}
    dull.train()
    (row,) = rows(tmp_path / "dull")
    assert len(played(tmp_path / "dull")["step-000001.jsonl"]) == 3 * 3 * 2
    assert (row["zero_spread_fraction"], row["grad_norm"], row["trained_tokens"]) == (1.0, 0.0, 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in dull.model.state_dict().items())
    make_trainer(tmp_path / "lively", arena, chat, grpo=grpo).train()
    assert len(played(tmp_path / "lively")["step-000001.jsonl"]) == 3 * 2


def test_an_evaluation_neither_changes_training_nor_samples_at_its_temperature(tmp_path, arena, chat):
    make_trainer(tmp_path / "without", arena, chat).train()
    trainer = make_trainer(tmp_path / "with", arena, chat, eval={"every": 1, "temperature": 0.0})
    trainer.train()
    assert played(tmp_path / "without") == played(tmp_path / "with")
    found = rows(tmp_path / "with")
    assert all(0 <= row.pop("eval_accuracy") <= 1 for row in found)
    assert found == rows(tmp_path / "without")
    assert trainer.engine.temperature == 1.0


def test_the_pull_towards_the_start_is_trained_on(tmp_path, arena, chat):
    for name, kl in (("free", 0.0), ("held", 5.0)):
        make_trainer(tmp_path / name, arena, chat, loss={"kl": kl}).train()
    free, held = rows(tmp_path / "free"), rows(tmp_path / "held")
    assert held[0]["ref_kl"] == pytest.approx(0.0, abs=1e-5)
    assert held[-1]["ref_kl"] > 0
    assert free[0]["loss"] == pytest.approx(held[0]["loss"], abs=1e-4)
    assert free[-1] != held[-1]


def test_the_reference_of_a_resumed_run_is_the_model_it_started_from(tmp_path, arena, chat):
    options = {"loss": {"kl": 1.0}}
    whole = make_trainer(tmp_path / "whole", arena, chat, **options)
    whole.train()
    first = make_trainer(tmp_path / "cut", arena, chat, **options)
    with pytest.raises(Stopped):
        first.train(lambda row: (_ for _ in ()).throw(Stopped) if row["step"] == 3 else None)
    again = make_trainer(tmp_path / "cut", arena, chat, **options)
    again.resume()
    again.train()
    assert_same_state(whole, again)


def test_a_time_limit_ends_a_run_with_a_checkpoint(tmp_path, arena, chat):
    trainer = make_trainer(tmp_path, arena, chat, grpo={"steps": 500, "max_seconds": 1e-6})
    trainer.train()
    assert trainer.step == 1
    assert latest_checkpoint(tmp_path).name == "step-000001"


def test_a_checkpoint_is_whole_after_every_kill(tmp_path, arena, chat):
    """Whatever a kill leaves beside the checkpoints, a run goes on from the newest whole one."""
    make_trainer(tmp_path, arena, chat).train()
    newest = latest_checkpoint(tmp_path)
    shutil.copytree(newest, newest.with_name("step-000006.partial"))
    (newest / "model.safetensors").write_bytes(b"cut")
    again = make_trainer(tmp_path, arena, chat, model_seed=99)
    assert again.resume()
    assert again.step == 2
    again.train()
    assert latest_checkpoint(tmp_path).name == "step-000004"


def test_samples_say_which_weights_drew_them(tmp_path, arena, chat, monkeypatch):
    versions = []

    def kept_update(model, optimizer, samples, *_, **__):
        versions.append({sample.policy_version for sample in samples})
        assert all(dataclasses.astuple(sample) for sample in samples)
        return Update(0.0, 1.0, 5, LossStatistics())

    monkeypatch.setattr("agent.grpo.trainer.update", kept_update)
    make_trainer(tmp_path, arena, chat, grpo={"steps": 3}).train()
    assert versions == [{0}, {1}, {2}]
