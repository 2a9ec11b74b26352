"""Every recipe runs through the whole loop, and a resumed run is the undisturbed one with each of its options."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from agent.arena import Arena
from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.metrics import read_metrics
from agent.grpo.trainer import GrpoTrainer
from tests.agent.grpo.test_trainer import (
    Stopped,
    assert_same_state,
    give_up_rate,
    make_trainer,
    played,
    rows,
    taught,
)
from tests.agent.tiny import make_config

RECIPES = {
    "grpo": {"loss": {"kind": "grpo"}, "grpo": {"advantage_scale": "std"}},
    "dr_grpo": {"loss": {"kind": "dr_grpo"}},
    "dapo": {"loss": {"kind": "dapo"}, "grpo": {"overlong_tokens": 300}},
    "gspo": {"loss": {"kind": "gspo"}, "grpo": {"updates_per_step": 2}},
    "cispo in minibatches": {"grpo": {"updates_per_step": 3}},
    "corrected": {"loss": {"mismatch": "token_truncate"}},
    "forks": {"loss": {"top_entropy": 0.2}},
    "rloo with kl": {"loss": {"kl_in_reward": 0.1}, "grpo": {"baseline": "leave_one_out"}},
    "middling": {"grpo": {"curriculum": "middling", "advantage_scale": "batch"}},
}


def options_of(name):
    recipe = RECIPES[name]
    return {**recipe, "grpo": {"questions_per_step": 3, "group_size": 3, "steps": 4, **recipe.get("grpo", {})}}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_run_equals_the_undisturbed_one_bit_for_bit(tmp_path, arena, chat, name):
    options = options_of(name)
    whole = make_trainer(tmp_path / "whole", arena, chat, **options)
    whole.train()
    first = make_trainer(tmp_path / "cut", arena, chat, **options)
    with pytest.raises(Stopped):
        first.train(lambda row: (_ for _ in ()).throw(Stopped) if row["step"] == 3 else None)
    again = make_trainer(tmp_path / "cut", arena, chat, model_seed=99, **options)
    if "kl_in_reward" in str(options):  # the reference is the model that the run started from
        again = make_trainer(tmp_path / "cut", arena, chat, **options)
    assert again.resume()
    again.train()
    assert_same_state(whole, again)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert played(tmp_path / "cut") == played(tmp_path / "whole")
    state = [json.loads((latest_checkpoint(tmp_path / run) / "state.json").read_text()) for run in ("cut", "whole")]
    assert all(one["loop"].pop("seconds") > 0 for one in state)
    assert state[0] == state[1]


def test_recipes_differ_in_what_they_do(tmp_path, arena, chat):
    found = {}
    for name in RECIPES:
        make_trainer(tmp_path / name, arena, chat, **options_of(name)).train()
        *_, last = read_metrics(tmp_path / name / "metrics.jsonl")
        found[name] = (last["loss"], last["grad_norm"])
        assert last["grad_norm"] > 0, name
    assert len(set(found.values())) == len(RECIPES)


@pytest.fixture(scope="module")
def unanswerable(arena):
    """An arena in which saying "I don't know" is always right."""
    questions = [question for question in arena.questions if not question.answerable][:4]
    inboxes = {question.inbox: arena.inbox(question.inbox) for question in questions}
    return Arena(inboxes, questions, arena.limits.model_copy(update={"max_turns": 1}))


@pytest.fixture(scope="module")
def half_taught(unanswerable, chat):
    """A model that gives up about half of the time."""
    return taught(unanswerable, chat)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_rewarded_is_said_more_often_after_a_few_steps(tmp_path, unanswerable, chat, half_taught, name):
    model = deepcopy(half_taught)
    before = give_up_rate(model, chat, unanswerable)
    recipe = RECIPES[name]
    grpo = {"steps": 5, "questions_per_step": 4, "group_size": 6, "learning_rate": 0.01, "retire_at": 1.0}
    sections = {"sampling": {"max_new_tokens": 30, "max_rows": 32}, "env": {"max_turns": 1}, **recipe}
    config = make_config(tmp_path, **{**sections, "grpo": {**grpo, **recipe.get("grpo", {})}})
    trainer = GrpoTrainer(config, model, chat, unanswerable, unanswerable, tmp_path)
    trainer.train()
    assert 0.2 < before < 0.8
    assert give_up_rate(model, chat, unanswerable, trainer.engine) > before + 0.2
