"""A real chat model's tokenizer and template on a small random model of its shape: trained, resumed, used again."""

from __future__ import annotations

import shutil

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from agent.arena import Arena
from agent.grpo.trainer import GrpoTrainer
from agent.lora import plain_model
from agent.model_check import check_trainable
from agent.model_config import ModelConfig
from agent.model_folder import load_model, save_model
from agent.model_loading import load_trainee
from inbox_env.errors import UsageError
from tests.agent.grpo.test_trainer import assert_same_state, rows, spread
from tests.agent.tiny import LIMITS, make_config

MODELS = {"qwen2.5-instruct": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}
CONTEXT = 3072


@pytest.fixture(params=MODELS)
def folder(request, shared_data, tmp_path):
    """A model folder as the hub has it: no card of ours, weights in bfloat16."""
    config_class, model_class = MODELS[request.param]
    path = tmp_path / request.param
    shutil.copytree(shared_data / "tokenizers" / request.param, path, copy_function=shutil.copyfile)
    path.chmod(0o755)
    torch.manual_seed(0)
    config = config_class(
        vocab_size=151_936,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    )
    model_class(config).to(torch.bfloat16).save_pretrained(path)
    return path


def make_trainer(folder, run, arena, **model):
    run.mkdir(parents=True, exist_ok=True)
    settings = {"path": str(folder), "prompt": "default", "lora_rank": 2, "dtype": "bfloat16", **model}
    config = make_config(
        run,
        model=settings,
        sampling={"max_new_tokens": 4, "max_context": CONTEXT, "max_rows": 4},
        grpo={"steps": 2, "micro_batch_tokens": 2 * CONTEXT, "learning_rate": 1e-3},
    )
    loaded = load_trainee(config.model, seed=1, max_context=CONTEXT)
    check_trainable(loaded.model, CONTEXT)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, arena, arena, run)
    trainer.grader.reward_fn = spread
    return trainer, loaded


@pytest.mark.slow
def test_an_adapter_is_trained_resumed_and_used_again(folder, arena, tmp_path):
    arena = Arena({q.inbox: arena.inbox(q.inbox) for q in arena.questions}, arena.questions[:6], LIMITS)
    trainer, loaded = make_trainer(folder, tmp_path / "run", arena, gradient_checkpointing=True)
    trainer.train()
    found = rows(tmp_path / "run")
    assert [row["step"] for row in found] == [1, 2]
    assert all(row["ratio_mean"] == pytest.approx(1.0, abs=0.05) for row in found)
    assert all(row["trained_tokens"] > 100 for row in found)
    again, _ = make_trainer(folder, tmp_path / "run", arena, gradient_checkpointing=True)
    assert again.resume()
    assert_same_state(trainer, again)
    save_model(tmp_path / "run" / "model", loaded)
    used = load_model(tmp_path / "run")
    assert used.chat.prompt_ids("system", "question") == loaded.chat.prompt_ids("system", "question")
    plain_model(loaded.model).set_attn_implementation("sdpa")
    ids = torch.tensor([used.chat.prompt_ids("system", "question")])
    with torch.no_grad():
        assert torch.equal(used.model(input_ids=ids).logits, loaded.model(input_ids=ids).logits)


@pytest.mark.slow
def test_thinking_is_switched_off_where_there_is_a_switch(folder):
    config = ModelConfig(path=folder, enable_thinking=False)
    if "qwen3" not in folder.name:
        with pytest.raises(UsageError, match="no switch for thinking"):
            load_trainee(config)
        return
    chats = [load_trainee(one).chat for one in (config, ModelConfig(path=folder))]
    assert chats[0].prompt_ids("s", "u") != chats[1].prompt_ids("s", "u")
