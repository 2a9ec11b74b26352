"""Supervised training on the demonstrator's episodes in a training arena, for so many steps or so much time.

As a warm start it precedes reinforcement learning on mail that the base model has never seen. As a control it takes
its place: imitation is bounded by its demonstrator, and what reward adds is measured against it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import count

import torch

from agent.arena import Arena
from agent.grpo.config import TrainConfig
from agent.model_folder import LoadedModel
from agent.own_successes import imitate_own_successes
from agent.renaming import Renaming
from agent.segment_attention import enable_segment_attention
from agent.sft import Imitation, imitate
from agent.warm_start import WarmStart, WarmStartMix

DEMONSTRATIONS_ONLY = WarmStartMix(drill_steps=0, plain_steps=0, drill_share=0.0, search_share=0.0, reading_share=0.0)
RECALL = WarmStartMix(demonstrator="recall", drill_steps=0, drill_share=0.0, search_share=0.0, reading_share=0.0)
CONSISTENT = WarmStartMix(drill_steps=0, plain_steps=sys.maxsize, drill_share=0.0, search_share=0.0)
Schedule = Callable[[int], float | None]  # learning rate of a step, counted from 1; None: stop before it
OnStep = Callable[[int, Imitation], None]
_CONTROL_SEED = 7_000_000  # apart from the warm start's, so that the control sees new demonstrations


def _say_nothing(_: int, __: Imitation) -> None:
    pass


def train_control(config: TrainConfig, loaded: LoadedModel, arena: Arena, seconds: float) -> int:
    """Imitate for `seconds`, the learning rate falling to zero with the time; returns the number of steps."""
    started = time.monotonic()

    def rate(_: int) -> float | None:
        left = 1 - (time.monotonic() - started) / seconds
        return config.control.learning_rate * left if left > 0 else None

    return _imitate_while(config, loaded, arena, rate, DEMONSTRATIONS_ONLY, config.run.seed + _CONTROL_SEED)


def warm_start(config: TrainConfig, loaded: LoadedModel, arena: Arena, on_step: OnStep = _say_nothing) -> int:
    """Imitate the consistent demonstrator for `warm_start.steps`, the learning rate falling linearly to zero.

    With `warm_start.source` "recall" it is the one for known-item questions; with "own" the model imitates what it
    does right itself (`agent.own_successes`).
    The mediocre demonstrator teaches to give up before rewards can teach anything else, where the base is hardly ever
    right.
    `on_step` sees every step's number and figures, save of a model's own successes. Returns the number of steps.
    """
    if config.warm_start.source == "own":
        return imitate_own_successes(config, loaded, arena)
    steps = config.warm_start.steps

    def rate(step: int) -> float | None:
        return config.warm_start.learning_rate * (1 - (step - 1) / steps) if step <= steps else None

    mix = RECALL if config.warm_start.source == "recall" else CONSISTENT
    return _imitate_while(config, loaded, arena, rate, mix, config.run.seed, on_step)


def _imitate_while(
    config: TrainConfig,
    loaded: LoadedModel,
    arena: Arena,
    rate: Schedule,
    mix: WarmStartMix,
    seed: int,
    on_step: OnStep = _say_nothing,
) -> int:
    enable_segment_attention(loaded.model)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.01)
    vocab_size = loaded.model.config.vocab_size
    lessons = WarmStart(
        loaded.chat,
        vocab_size,
        arena,
        prompt=config.model.prompt,
        mix=mix,
        seed=seed,
        renaming=Renaming.of_invented_mail(loaded.chat) if config.data.synthetic else None,
        max_tokens=config.sampling.max_context,
    )
    for step in count(1):
        learning_rate = rate(step)
        if learning_rate is None:
            return step - 1
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        on_step(step, imitate(loaded.model, optimizer, lessons.step(step), max_tokens=config.grpo.micro_batch_tokens))
    raise AssertionError("unreachable: the schedule ends")
