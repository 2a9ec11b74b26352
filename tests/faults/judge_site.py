"""What the tests of a failing judge share: a model that answers in words which only a judge can decide about."""

from __future__ import annotations

import asyncio
import json

import torch

from agent.agent_card import AgentCard
from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.model_folder import LoadedModel, save_model
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader
from agent.segment_attention import enable_segment_attention
from agent.sft import demonstrate, imitate
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.chat_server import completion
from tests.agent.tiny import CONTEXT, LIMITS, make_model, make_tokenizer

SAID = ("up the hill", "by the lake")
RIGHT = completion(text=json.dumps({"reason": "the same", "verdict": "right"}))
WRONG = completion(text=json.dumps({"reason": "another", "verdict": "wrong"}))


def by_place(handler):
    """Say right to the hill and wrong to the lake, so that a group has something to learn."""
    content = handler.server.requests[-1]["messages"][1]["content"]
    handler.reply(200, RIGHT if SAID[0] in content else WRONG)


def make_judge_site(folder):
    """Return the folder with a mailbox, and a base model that says one or the other at once."""
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    arena = Arena.open(folder / "mail.db", inbox.questions, LIMITS)
    model, chat = make_model(1), ChatFormat(make_tokenizer())
    enable_segment_attention(model)
    traces = asyncio.run(_lessons(arena, chat))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        imitate(model, optimizer, traces)
    card = AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=30, max_context=CONTEXT)
    save_model(folder / "base", LoadedModel(model, chat, card))
    return folder


async def _lessons(arena, chat):
    policies = [
        ScriptedPolicy("s", lambda *_, text=text: (one for one in [answer(text)]), perfect_reader({})) for text in SAID
    ]
    return [
        await demonstrate(policy, arena.env(question), chat, "laptop")
        for policy in policies
        for question in arena.questions[:8]
    ]
