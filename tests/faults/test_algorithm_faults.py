"""What must happen when rewards, losses or metrics go astray: masked, skipped, warned of, or the run stopped with its
last good checkpoint named."""

from __future__ import annotations

import json
import logging
import math
from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from agent.grpo import update as update_module
from agent.grpo.advantages import step_advantages
from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.metrics import read_metrics
from agent.grpo.trainer import GrpoTrainer
from inbox_env.errors import DivergedError, ExitCode
from rewards.base import Reward
from tests.agent.conftest import arena, chat, tokenizer  # noqa: F401  # fixtures
from tests.agent.tiny import make_config, make_model

GRPO = {"steps": 8, "questions_per_step": 4, "group_size": 4, "learning_rate": 0.01}


def by_letters(trajectory, question):
    """A reward that differs between any two rollouts, so that every step changes the weights."""
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


@pytest.fixture
def start(tmp_path, arena, chat):  # noqa: F811
    """A function that makes the trainer of a run folder; `reward` replaces the ladder."""

    def make(name="run", reward=by_letters, **sections):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        sections = {"run": {"checkpoint_every": 1}, **sections, "grpo": {**GRPO, **sections.get("grpo", {})}}
        trainer = GrpoTrainer(make_config(folder, **sections), make_model(), chat, arena, arena, folder)
        trainer.grader.reward_fn = reward
        return trainer

    return make


def rows(trainer):
    return list(read_metrics(trainer.run / "metrics.jsonl"))


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def assert_same_weights(first, second):
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def assert_diverged(trainer, *words):
    """The run stops with exit code 7 and one line, and names its last good checkpoint."""
    with pytest.raises(DivergedError) as caught:
        trainer.train()
    line = caught.value.line()
    assert caught.value.exit_code == ExitCode.DIVERGED
    assert len(line) <= 300
    assert "\n" not in line
    for word in words:
        assert word in line
    newest = latest_checkpoint(trainer.run)
    mark = trainer.run / "best_finite.json"
    if newest is None:
        assert not mark.exists()
    else:
        content = json.loads(mark.read_text())
        assert content == {"step": int(newest.name[-6:]), "checkpoint": f"checkpoints/{newest.name}"}
        saved = load_file(newest / "model.safetensors")
        assert all(bool(tensor.isfinite().all()) for tensor in saved.values())


BAD = {
    "nan": lambda: Reward.of({"x": math.nan}),
    "inf": lambda: Reward.of({"x": math.inf}),
    "none": lambda: None,
    "huge": lambda: Reward.of({"x": 1e9}),
    "low": lambda: Reward.of({"x": -7.0}),
}


def sometimes_bad(kind, every):
    number = count(1)
    return lambda trajectory, question: BAD[kind]() if next(number) % every == 0 else by_letters(trajectory, question)


@pytest.mark.parametrize("kind", BAD)
def test_f46_a_bad_reward_is_masked_and_counted_and_the_rest_is_learnt_from(start, kind):
    trainer = start(kind, sometimes_bad(kind, 40), grpo={"steps": 4})
    trainer.train()
    masked = start("masked", grpo={"steps": 4})
    number = count(1)
    masked.grader.reward_fn = lambda *args: Reward.unscorable("outage") if next(number) % 40 == 0 else by_letters(*args)
    masked.train()
    assert_same_weights(weights(trainer), weights(masked))
    assert sum(row["bad_reward_fraction"] for row in rows(trainer)) == pytest.approx(1 / 16)
    assert sum(row["bad_reward_fraction"] for row in rows(masked)) == 0
    assert all(math.isfinite(row["reward_mean"]) for row in rows(trainer))


@pytest.mark.parametrize("kind", BAD)
def test_f46_more_than_a_twentieth_of_bad_rewards_ends_the_run(start, kind):
    trainer = start(reward=sometimes_bad(kind, 10), grpo={"steps": 4})
    assert_diverged(trainer, "2 of 16 rewards cannot be trusted", "step 2")
    assert [row["step"] for row in rows(trainer)] == [1]


@given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), max_size=4), st.floats(-1e9, 1e9))
def test_f47_equal_rewards_give_exact_zeros_whatever_stands_beside_them(groups, reward):
    for scale in ("none", "std", "batch"):
        for baseline in ("mean", "leave_one_out"):
            found = step_advantages([[reward] * 5, *groups], scale, baseline)
            assert found[0] == [0.0] * 5
            assert all(math.isfinite(value) for row in found for value in row)


@pytest.mark.parametrize("scale", ["none", "std", "batch"])
def test_f47_a_step_of_equal_rewards_changes_nothing_and_says_so(start, scale):
    trainer = start(reward=lambda *_: Reward.of({"x": 0.3}), grpo={"steps": 2, "advantage_scale": scale})
    before = weights(trainer)
    trainer.train()
    assert_same_weights(before, weights(trainer))
    assert [(row["zero_spread_fraction"], row["grad_norm"], row["loss"]) for row in rows(trainer)] == [(1, 0, 0)] * 2


SPOILT = {
    "nan loss": lambda loss: loss * math.nan,
    "infinite loss": lambda loss: loss * math.inf,
    "nan gradient": lambda loss: loss + (loss - loss.detach()) * math.nan,
    "loss a million times": lambda loss: loss + 1e6 * (1 + loss.detach().abs()),
    "gradient a thousand times": lambda loss: loss.detach() + 1000 * (loss - loss.detach()),
}


@pytest.fixture
def spoil(monkeypatch):
    """A function that spoils the loss of the given micro-batches, counted from 1 over the run."""

    def start_spoiling(how, numbers):
        number, plain = count(1), update_module.policy_loss

        def spoilt(*args, **options):
            loss, statistics = plain(*args, **options)
            return (SPOILT[how](loss) if next(number) in numbers else loss), statistics

        monkeypatch.setattr(update_module, "policy_loss", spoilt)

    return start_spoiling


@pytest.mark.parametrize("how", SPOILT)
def test_f54_a_wild_update_is_skipped_and_its_numbers_are_kept_without_text(start, spoil, how, caplog):
    spoil(how, {7})
    trainer = start()
    found = {}
    with caplog.at_level(logging.WARNING):
        trainer.train(lambda row: found.update({row["step"]: weights(trainer)}))
    assert_same_weights(found[6], found[7])
    assert any(not torch.equal(tensor, found[7][name]) for name, tensor in found[8].items())
    assert [row["is_skipped"] for row in rows(trainer)] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert "step 7 skipped" in caplog.text
    (dump,) = (trainer.run / "refused").iterdir()
    assert dump.name == "step-000007.safetensors"
    tensors = load_file(dump)
    assert set(tensors) == {"logprobs", "old_logprobs", "advantages", "sequence_ids"}
    assert len({len(tensor) for tensor in tensors.values()}) == 1
    assert not (trainer.run / "best_finite.json").exists()


@pytest.mark.parametrize("how", SPOILT)
def test_f54_a_fourth_in_a_row_ends_the_run_and_it_can_go_on_from_there(start, spoil, how):
    spoil(how, {6, 7, 8, 9})
    trainer = start(grpo={"steps": 12})
    assert_diverged(trainer, "4 steps in a row", "step 9")
    assert [row["is_skipped"] for row in rows(trainer)] == [0] * 5 + [1] * 3
    assert len(list((trainer.run / "refused").iterdir())) == 4
    again = start(grpo={"steps": 12})
    assert again.resume()
    assert again.step == 8
    again.train()
    assert again.step == 12


def test_f54_three_in_a_row_with_a_kill_between_are_still_counted(start, spoil):
    spoil("nan loss", range(3, 99))
    trainer = start()
    with pytest.raises(KeyboardInterrupt):
        trainer.train(lambda row: (_ for _ in ()).throw(KeyboardInterrupt) if row["step"] == 5 else None)
    again = start()
    again.resume()
    assert_diverged(again, "4 steps in a row", "step 6")


def test_f54_weights_that_are_not_finite_never_become_a_checkpoint(start):
    trainer = start(grpo={"steps": 2})
    trainer.train()
    with torch.no_grad():
        trainer.model.model.norm.weight[0] = math.inf
    trainer.step = 3
    with pytest.raises(DivergedError, match="not finite"):
        trainer.save()
    assert latest_checkpoint(trainer.run).name == "step-000002"


@pytest.mark.parametrize("is_stopping", [False, True])
def test_f55_entropy_that_stays_low_is_warned_of_and_stops_the_run_when_asked(start, caplog, is_stopping):
    guards = {"min_entropy": 99.0, "warn_after": 2, "stop_after": 4 if is_stopping else 0}
    trainer = start(guards=guards, grpo={"steps": 6})
    with caplog.at_level(logging.WARNING):
        if is_stopping:
            assert_diverged(trainer, "entropy is", "below 99 for 4 steps", "step 4", "temperature")
        else:
            trainer.train()
    assert [row["step"] for row in rows(trainer)] == list(range(1, 5 if is_stopping else 7))
    assert [record.message.split(":")[0] for record in caplog.records] == ["step 2"]


def test_f55_updates_that_go_too_far_stop_the_run(start):
    options = {"guards": {"max_kl": 1e-4, "stop_after": 3}, "loss": {"kind": "dapo"}}
    assert_diverged(start(**options, grpo={"updates_per_step": 2, "learning_rate": 0.05}), "kl is", "learning_rate")


def test_f55_a_sampler_that_the_weights_do_not_reach_stops_the_run(start, monkeypatch):
    trainer = start(guards={"stop_after": 3}, grpo={"learning_rate": 0.05})
    monkeypatch.setattr(trainer.engine, "refresh", lambda: None)
    assert_diverged(trainer, "mismatch_kl is", "above 0.01 for 3 steps", "loss.mismatch")


def test_f55_an_orderly_run_raises_no_alarm(start, caplog):
    trainer = start(guards={"stop_after": 1}, grpo={"learning_rate": 0.001})
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.step == 8
    assert caplog.records == []
