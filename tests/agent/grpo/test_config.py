from __future__ import annotations

import json

import pytest

from agent.grpo.config import GrpoConfig, TrainConfig, dump_config, known_keys, load_config
from inbox_env.errors import UsageError

MINIMAL = """
[data.synthetic]
train = { seeds = [1, 2] }
dev = { seeds = [1] }
test = { seeds = [1] }
"""


@pytest.fixture
def load(tmp_path):
    def load(text, *overrides):
        path = tmp_path / "run.toml"
        path.write_text(MINIMAL + text, encoding="utf-8")
        return load_config(path, overrides)

    return load


def test_a_configuration_survives_its_resolved_json(load):
    config = load("[grpo]\nsteps = 7\nmax_seconds = 60.5\n[run]\nname = 'x'\n")
    assert (config.grpo.steps, config.run.name, config.reward.right) == (7, "x", 1.0)
    assert TrainConfig.model_validate_json(dump_config(config)) == config
    assert json.loads(dump_config(config))["loss"]["kind"] == "cispo"


def test_overrides_win_over_the_file(load):
    config = load(
        "[grpo]\nsteps = 7\n", "grpo.steps=9", "run.name=other", "loss.kind=dapo", "data.synthetic.dev.seeds=[3]"
    )
    assert (config.grpo.steps, config.run.name, config.loss.kind) == (9, "other", "dapo")
    assert config.data.synthetic.dev.seeds == (3,)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[grpo]\nlerning_rate = 1.0", "grpo.lerning_rate", "grpo.learning_rate"),
        ("[sampling]\ngroup_size = 4", "sampling.group_size", "grpo.group_size"),
        ("[reward]\nwron = -1.0", "reward.wron", "reward.wrong"),
        ("[lossy]\nkl = 0.0", "lossy", "loss"),
        ("[loss]\nqqqq = 1", "loss.qqqq", "README"),
    ],
)
def test_an_unknown_key_is_named_with_the_file_and_the_nearest_known_one(load, text, key, hint):
    with pytest.raises(UsageError) as caught:
        load(text)
    line = caught.value.line()
    assert f"unknown key {key} " in line
    assert "run.toml" in line
    assert hint in line


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[grpo]\nsteps = '60'", "grpo.steps"),
        ("[grpo]\nsteps = 1.5", "grpo.steps"),
        ("[grpo]\ngroup_size = 1", "grpo.group_size"),
        ("[grpo]\nlearning_rate = nan", "grpo.learning_rate"),
        ("[loss]\nkind = 'reinforce'", "loss.kind"),
        ("[run]\nname = '../elsewhere'", "run.name"),
        ("[reward]\nwrong = 2.0", "tiers cross"),
        ("[data.mailbox]\npath = 'm.db'\ntrain = 'a'\ndev = 'b'\ntest = 'c'", "data.synthetic or data.mailbox"),
        ("[sampling]\nmax_context = 100000", "micro_batch_tokens"),
        ("[grpo]\noverlong_tokens = 5000", "overlong_tokens"),
        ("[loss]\nold_logprobs = 'sampler'\nmismatch = 'token_mask'", "old_logprobs"),
        ("[grpo]\nstrategy = 'shard'\n[model]\nloader = 'unsloth'\nlora_rank = 8", 'model.loader = "transformers"'),
        ("[guards]\nmin_entrpy = 1.0", "guards.min_entropy"),
        ("[data.synthetic.more]\nseeds = [1]", "data.synthetic.more"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(load, text, key):
    with pytest.raises(UsageError) as caught:
        load(text)
    assert key in caught.value.line()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("override", ["steps", "=3", "grpo..steps=3", "run.name.x=3"])
def test_a_malformed_override_is_refused(load, override):
    with pytest.raises(UsageError, match="override"):
        load("[run]\nname = 'x'\n", override)


def test_what_an_override_got_wrong_is_said_of_it_and_not_of_the_file(load):
    for override in ("grpo.steps=x", "grpo.stpes=2", "run.name=../x", "sampling=3"):
        with pytest.raises(UsageError) as caught:
            load("", override)
        assert caught.value.where == f"--set {override.partition('=')[0]}"
        assert "pattern" not in caught.value.what, "no regular expression is shown"
    with pytest.raises(UsageError) as caught:
        load("[grpo]\nsteps = 'x'", "run.name=y")
    assert "run.toml" in caught.value.where


def test_an_absent_or_broken_file_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match="no such configuration"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path)
    (tmp_path / "broken.toml").write_bytes(b"[grpo\n")
    with pytest.raises(UsageError, match=r"not TOML.*broken\.toml - mend it"):
        load_config(tmp_path / "broken.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'\n")
    with pytest.raises(UsageError, match="not TOML"):
        load_config(tmp_path / "latin.toml")


def test_every_key_says_what_it_means():
    assert [key for key, meaning in known_keys() if not meaning] == []


def test_the_learning_rate_rises_stays_and_falls():
    config = GrpoConfig(steps=20, learning_rate=1.0, warmup_steps=4, decay_from=0.5, final_learning_rate=0.1)
    rates = [config.learning_rate_at(step) for step in range(1, 21)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[9] == 1.0
    assert rates[-1] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_a_recipe_and_what_is_set_beside_it_are_written_down_resolved(load):
    config = load("[loss]\nkind = 'gspo'\nclip_high = 1e-3\n", "grpo.advantage_scale=std")
    loss = json.loads(dump_config(config))["loss"]
    assert (loss["average"], loss["clip_low"], loss["clip_high"]) == ("sequences", 3e-4, 1e-3)
    assert load("", "loss.kind=dr_grpo").loss.average == "constant"


def test_the_most_that_an_episode_can_sample_is_bounded_by_turns_and_by_the_context(load):
    text = "[env]\nmax_turns = 3\n[sampling]\nmax_new_tokens = 50\n"
    assert load(text).max_sampled_tokens == 150
    assert load(text, "sampling.max_context=120").max_sampled_tokens == 120
