"""The canary: with a reward for brevity alone, what the sampler says becomes shorter within ten steps.

It dies when trained weights do not reach the sampler, whichever way they go there.
"""

from __future__ import annotations

from copy import copy, deepcopy
from statistics import fmean

import pytest

from agent.grpo.metrics import read_metrics
from agent.grpo.trainer import GrpoTrainer
from inbox_env.trajectory import read_trajectories
from rewards.base import Reward
from tests.agent.remote import lora, plain, wide_model
from tests.agent.tiny import VOCABULARY, make_config
from tests.agent.vllm_server import TinyVllm, serving

MAX_TOKENS = 16


def brevity(trajectory, _):
    return Reward.of({"brevity": -trajectory.turns[0].num_tokens / MAX_TOKENS})


@pytest.fixture
def talkative(chat):
    """A chat format in which one token in ten, all of one direction of the embedding, ends a turn."""
    talkative = copy(chat)
    first_numbers = new_model().get_input_embeddings().weight[:, 0]
    talkative.stop_token_ids = frozenset(first_numbers.topk(VOCABULARY // 10).indices.tolist())
    return talkative


def new_model():
    return wide_model(scale=8.0)


def train(folder, arena, chat, model, steps=8, **sampling):
    grpo = {"steps": steps, "questions_per_step": 2, "group_size": 16, "learning_rate": 0.05, "retire_at": 1.0}
    sampling = {"max_new_tokens": MAX_TOKENS, "max_rows": 32, **sampling}
    config = make_config(folder, grpo=grpo, sampling=sampling, env={"max_turns": 1}, run={"checkpoint_every": 100})
    trainer = GrpoTrainer(config, model, chat, arena, arena, folder)
    trainer.grader.reward_fn = brevity
    trainer.train()
    return trainer


def mean_lengths(folder):
    return [
        fmean(trajectory.turns[0].num_tokens for trajectory in read_trajectories(path))
        for path in sorted((folder / "trajectories").iterdir())
    ]


def assert_shorter(folder, share=0.6):
    lengths = mean_lengths(folder)
    assert fmean(lengths[-2:]) < share * fmean(lengths[:2]), lengths
    assert all(row["kl"] < 1e-3 for row in read_metrics(folder / "metrics.jsonl"))


def test_of_the_engine_in_this_process(tmp_path, arena, talkative):
    train(tmp_path, arena, talkative, new_model())
    assert_shorter(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("is_adapter", [True, False])
def test_of_the_engine_over_http(tmp_path, arena, talkative, tokenizer, is_adapter):
    model = lora(new_model(), tmp_path / "base") if is_adapter else new_model()
    tiny = TinyVllm(deepcopy(plain(model)), tokenizer)
    with serving(tiny) as url:
        trainer = train(tmp_path, arena, talkative, model, 10 if is_adapter else 8, engine="vllm", servers=[url])
        trainer.engine.close()
    assert_shorter(tmp_path, 0.7 if is_adapter else 0.6)
    assert tiny.paths.count("/v1/load_lora_adapter" if is_adapter else "/collective_rpc") == trainer.step + 1


def test_it_dies_when_the_weights_stay_at_home(tmp_path, arena, talkative, monkeypatch):
    monkeypatch.setattr("agent.sampling.torch_engine.TorchEngine.refresh", lambda _: None)
    train(tmp_path, arena, talkative, new_model())
    with pytest.raises(AssertionError):
        assert_shorter(tmp_path)
