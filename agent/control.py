"""The control of a training run: the same base model, given the same wall time of further supervised training.

Imitation is bounded by its demonstrator; what reinforcement learning adds is measured against this.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from agent.arena import Arena
from agent.grpo.config import TrainConfig
from agent.model_folder import LoadedModel
from agent.segment_attention import enable_segment_attention
from agent.sft import imitate
from agent.warm_start import WarmStart, WarmStartMix


def train_control(
    config: TrainConfig,
    loaded: LoadedModel,
    arena: Arena,
    seconds: float,
    on_step: Callable[[float], Any] | None = None,
) -> int:
    """Imitate the demonstrator on the training arena for `seconds`; returns the number of steps taken.

    Same optimiser settings as the end of the warm start, falling to zero over the time given. `on_step` is told the
    share of the time that is used up.
    """
    enable_segment_attention(loaded.model)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.01)
    mix = WarmStartMix(drill_steps=0, plain_steps=0, drill_share=0.0, search_share=0.0, reading_share=0.0)
    vocab_size = loaded.model.config.vocab_size
    lessons = WarmStart(
        loaded.chat, vocab_size, arena, prompt=config.model.prompt, mix=mix, seed=config.run.seed + 7_000_000
    )
    started, step = time.monotonic(), 0
    while (used := (time.monotonic() - started) / seconds) < 1:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = config.control.learning_rate * (1 - used)
        imitate(loaded.model, optimizer, lessons.step(step), max_tokens=config.grpo.micro_batch_tokens)
        if on_step:
            on_step(used)
    return step
