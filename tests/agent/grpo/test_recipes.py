"""Every recipe runs through the whole loop, and a resumed run is the undisturbed one with each of its options."""

from __future__ import annotations

import json

import pytest

from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.metrics import read_metrics
from tests.agent.grpo.test_trainer import Stopped, assert_same_state, make_trainer, played, rows

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
