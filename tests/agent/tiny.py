"""Small real parts that the tests of the agent share: an inbox, a tokenizer and a model of a few thousand weights."""

from __future__ import annotations

import asyncio

from agent.agent_card import AgentCard
from agent.base_model import make_base_model
from agent.base_tokenizer import train_tokenizer
from agent.chat_format import ChatFormat
from agent.grpo.config import TrainConfig
from agent.model_folder import LoadedModel, save_model
from agent.sampling.engine import Sample
from inbox_env.env import EnvLimits
from inbox_env.rendering import ResultStyle
from inbox_env.synthetic import generate_inbox

VOCABULARY = 640
CONTEXT = 384
LIMITS = EnvLimits(max_turns=3, style=ResultStyle(hits_per_page=3, snippet_chars=0, show_addresses=False))


def make_tokenizer():
    inbox = generate_inbox("vocabulary", 1, num_emails=100, num_questions=100)
    texts = [f"{mail.sender.name}\n{mail.subject}\n\n{mail.body}" for mail in inbox.emails]
    return train_tokenizer(texts + [question.question for question in inbox.questions], VOCABULARY)


def make_model(seed=0, context=CONTEXT):
    return make_base_model(VOCABULARY, hidden=32, layers=2, heads=2, context=context, seed=seed)


def write_model_folder(folder, tokenizer, seed=0):
    card = AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=12, max_context=CONTEXT)
    save_model(folder, LoadedModel(make_model(seed), ChatFormat(tokenizer), card))
    return folder


def make_config(folder, **sections):
    """A run of a few cheap steps; `sections` override single keys: grpo={"steps": 2}."""
    inboxes = {"seeds": [1], "num_emails": 100, "num_questions": 20}
    config = {
        "run": {"name": "run", "out": str(folder), "seed": 3, "checkpoint_every": 2},
        "model": {"path": str(folder / "base"), "threads": 1},
        "data": {"synthetic": {"train": inboxes, "dev": inboxes, "test": inboxes}},
        "env": {"max_turns": 2, "hits_per_page": 3},
        "sampling": {"max_new_tokens": 6, "max_context": CONTEXT, "max_rows": 16},
        "grpo": {"steps": 4, "questions_per_step": 2, "group_size": 2, "max_refills": 0, "learning_rate": 0.01},
        "eval": {"every": 0, "num_questions": 2, "num_test_questions": 4},
    }
    for name, values in sections.items():
        config[name] = {**config.get(name, {}), **values}
    return TrainConfig.model_validate(config)


class ScriptedSession:
    """Samples the given turns one after the other; a turn may be an exception, or seconds to wait first."""

    def __init__(self, turns, is_stopped):
        self.turns, self.is_stopped = list(turns), is_stopped
        self.appended, self.is_closed = [], False

    async def sample(self, token_ids, max_tokens):
        self.appended.append(token_ids)
        turn = self.turns.pop(0)
        if isinstance(turn, float):
            await asyncio.sleep(turn)
            turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        await asyncio.sleep(0)
        is_stopped = self.is_stopped and len(turn) <= max_tokens
        ids = turn[:max_tokens]
        return Sample(ids, [-0.25 - 0.01 * place for place in range(len(ids))], is_stopped)

    def close(self):
        self.is_closed = True


class ScriptedEngine:
    """Gives every new session the next of `scripts`: a sampling engine without a model."""

    def __init__(self, *scripts, is_stopped=True):
        self.scripts, self.is_stopped = list(scripts), is_stopped
        self.sessions, self.seeds = [], []

    def open(self, seed):
        self.seeds.append(seed)
        self.sessions.append(ScriptedSession(self.scripts[len(self.sessions) % len(self.scripts)], self.is_stopped))
        return self.sessions[-1]
