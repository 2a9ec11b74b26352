"""Engines over HTTP as the tests make them: patient for seconds, against the tiny server."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from copy import deepcopy

from agent.grpo.logprobs import prompt_logprobs
from agent.lora import add_lora, is_adapted
from agent.sampling.make_engine import PROBE_TEXT
from agent.sampling.patience import Patience
from agent.sampling.publish import Publisher
from agent.sampling.vllm_check import Expected
from agent.sampling.vllm_engine import VllmEngine
from agent.segment_attention import enable_segment_attention
from tests.agent.tiny import CONTEXT, VOCABULARY, make_model
from tests.agent.vllm_server import TinyVllm, serving

QUICK = Patience(30.0, 15.0, num_attempts=4, first_pause_seconds=0.02, longest_pause_seconds=0.1)


def wide_model(seed=0, scale=3.0):
    """A tiny model whose distribution is far from uniform."""
    model = make_model(seed)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            weight.data.mul_(scale)
    return model


def lora(model, folder=None):
    """The model with an adapter, kept in a folder as a trainer wants it."""
    if folder:
        model.save_pretrained(folder)
    return add_lora(model, rank=4, alpha=8, base=str(folder or "base"))


def expected(model, chat, **changes):
    enable_segment_attention(model)
    ids = tuple(chat.plain_ids(PROBE_TEXT))
    values = {
        "max_context": CONTEXT,
        "vocab_size": VOCABULARY,
        "text": PROBE_TEXT,
        "text_ids": ids,
        "probe_ids": ids,
        "probe_logprobs": prompt_logprobs(model, ids),
    }
    return Expected(**values | changes)


@contextmanager
def remote(model, chat, tokenizer, folder, *, tinies=None, num_servers=1, is_started=True, **options):
    """Yield a started engine that samples `model` on `num_servers` servers, and what these serve."""
    tinies = tinies or [TinyVllm(deepcopy(plain(model)), tokenizer) for _ in range(num_servers)]
    contexts = [serving(tiny) for tiny in tinies]
    urls = [context.__enter__() for context in contexts]
    options = {"stop_token_ids": set(chat.stop_token_ids), "max_context": CONTEXT, "patience": QUICK} | options
    engine = VllmEngine(urls, Publisher(model, folder), vocab_size=VOCABULARY, **options)
    try:
        if is_started:
            engine.start(expected(model, chat))
            for tiny in tinies:
                tiny.requests.clear()
                tiny.paths.clear()
        yield engine, tinies
    finally:
        engine.close()
        for context in contexts:
            context.__exit__(None, None, None)


def plain(model):
    """The model without its adapter, reading text as transformers does."""
    base = deepcopy(model)
    base = base.unload() if is_adapted(base) else base
    base.set_attn_implementation("sdpa")
    return base


async def within(seconds, *awaitables):
    """Gather, but a hang fails."""
    async with asyncio.timeout(seconds):
        return await asyncio.gather(*awaitables, return_exceptions=True)
