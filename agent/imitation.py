"""Supervised training on a demonstrator's or recorded episodes in a training arena, for so many steps or so much time.

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
from agent.recorded_plays import TokenLimits, select_plays
from agent.renaming import Renaming
from agent.segment_attention import enable_segment_attention
from agent.sft import Imitation, imitate, imitate_at_random
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


def warm_start(
    config: TrainConfig,
    loaded: LoadedModel,
    arena: Arena,
    on_step: OnStep = _say_nothing,
    say: Callable[[str], object] = lambda _: None,
) -> int:
    """Imitate the consistent demonstrator for `warm_start.steps`, the learning rate falling linearly to zero.

    With `warm_start.source` "recall" it is the one for known-item questions; with "own" the model imitates what it
    does right itself (`agent.own_successes`).
    The mediocre demonstrator teaches to give up before rewards can teach anything else, where the base is hardly ever
    right.
    `on_step` sees every step's number and figures, save of a model's own successes; `say` is told what is left out of
    recorded episodes (source "file", `agent.recorded_plays`). Returns the number of steps.
    """
    settings = config.warm_start
    if settings.source == "own":
        return imitate_own_successes(config, loaded, arena)
    if settings.source == "file":
        return _imitate_files(config, loaded, arena, on_step, say)

    def rate(step: int) -> float | None:
        return settings.rate(step) if step <= settings.steps else None

    mix = RECALL if settings.source == "recall" else CONSISTENT
    return _imitate_while(config, loaded, arena, rate, mix, config.run.seed, on_step)


def _imitate_files(
    config: TrainConfig, loaded: LoadedModel, arena: Arena, on_step: OnStep, say: Callable[[str], object]
) -> int:
    settings = config.warm_start
    limits = TokenLimits(config.sampling.max_context, config.sampling.max_new_tokens)
    prompt, min_reward = config.model.prompt, settings.min_reward
    chosen = select_plays(settings.files, arena, loaded.chat, prompt=prompt, min_reward=min_reward, limits=limits)
    say(chosen.line())
    enable_segment_attention(loaded.model)
    imitate_at_random(
        loaded.model,
        torch.optim.AdamW(loaded.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.01),
        chosen.traces,
        range(1, settings.steps + 1),
        rate=settings.rate,
        seed=f"{config.run.seed}:file",
        max_tokens=config.grpo.micro_batch_tokens,
        on_step=on_step,
    )
    return settings.steps


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
