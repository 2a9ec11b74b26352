"""The canary: what brevity alone is paid for, the sampler does within ten steps, whoever carries the weights to it."""

from __future__ import annotations

import asyncio
from statistics import fmean

import pytest
import torch

from agent.grpo.trainer import GrpoTrainer
from agent.lora import add_lora
from agent.rollout import rollout_many
from agent.sampling.decoder import Decoder
from agent.sampling.hf_decoder import HfDecoder
from rewards.base import Reward
from tests.agent.tiny import make_config, make_model, write_model_folder

MAX_TOKENS = 24


def brevity(trajectory, _question):
    """What a short turn is worth: nothing else counts."""
    return Reward.of({"brevity": 1 - trajectory.turns[0].num_tokens / MAX_TOKENS})


def talkative(chat):
    """A model that ends its turn with about one token in ten, whatever it was asked, and could learn to more often."""
    model = make_model(1)
    (stop,) = chat.stop_token_ids
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight[:, 0], weight[:, 1] = 0.3, 0.0
        weight[stop, 0], weight[stop, 1] = 1.1, 1.5
    return model


def mean_length(trainer, arena):
    policy = trainer.policy("canary", seed=17)
    plays = asyncio.run(rollout_many(policy, arena.envs(list(arena.questions[:4]) * 12)))
    return fmean(sum(play.trace.action_mask) for play in plays)


@pytest.mark.parametrize(("rank", "decoder"), [(0, Decoder), (4, Decoder), (4, HfDecoder)])
def test_paying_for_brevity_shortens_what_is_said(tmp_path, arena, chat, tokenizer, monkeypatch, rank, decoder):
    monkeypatch.setattr("agent.sampling.decoders.is_supported", lambda *_: decoder is Decoder)
    config = make_config(
        tmp_path,
        model={"lora_rank": rank},
        env={"max_turns": 1},
        sampling={"max_new_tokens": MAX_TOKENS, "max_rows": 48},
        grpo={"steps": 10, "questions_per_step": 4, "group_size": 8, "learning_rate": 0.003 if rank else 0.01},
    )
    model = talkative(chat)
    if rank:
        model = add_lora(model, rank=rank, alpha=16.0, base=str(write_model_folder(tmp_path / "base", tokenizer)))
    one_turn = arena.with_limits(arena.limits.model_copy(update={"max_turns": 1}))
    trainer = GrpoTrainer(config, model, chat, one_turn, one_turn, tmp_path)
    trainer.grader.reward_fn = brevity
    before = mean_length(trainer, one_turn)
    assert 5 < before < MAX_TOKENS
    trainer.train()
    assert type(trainer.engine._decoder) is decoder
    assert mean_length(trainer, one_turn) < 0.6 * before
