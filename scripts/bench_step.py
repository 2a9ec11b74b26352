"""Measure a whole training step (sample with tool turns, train, hand the weights over) beside TRL's GRPOTrainer.

Both sides have the same weights to begin with and play the same workload: the same prompts, tool results and numbers of
sampled tokens; their steps alternate in one process. TRL samples with Hugging Face `generate`, as its own tool loop
does: each turn of all rows at once, from the whole sequence. Knows nothing of mail: tokens and rewards are random.
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from operator import attrgetter
from random import Random
from statistics import median
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from agent.grpo.advantages import step_advantages
from agent.grpo.loss import LossConfig
from agent.grpo.samples import TrainingSample
from agent.grpo.update import update
from agent.policy import TokenTrace
from agent.sampling.torch_engine import TorchEngine
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import UsageError
from scripts.bench_sampler import Workload

GROUP_SIZE = 8
LEARNING_RATE = 1e-5
PADDED_ROWS = 8  # of TRL's micro-batches: faster on this side of the memory than all rows at once


def make_step_model(seed: int, hidden: int = 256) -> Any:
    """Return an untrained Qwen3-shaped model, of 4.1 M parameters with the usual width."""
    torch.manual_seed(seed)
    shape = Qwen3Config(
        hidden_size=hidden,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=hidden // 4,
        intermediate_size=hidden * 5 // 2,
        vocab_size=4096,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
    )
    return Qwen3ForCausalLM(shape).train()


@dataclass(frozen=True, slots=True)
class Seconds:
    """CPU and wall seconds of one step: all of it, and what sampling and training took of it."""

    sampling_cpu: float
    training_cpu: float
    step_cpu: float
    sampling_wall: float
    training_wall: float
    step_wall: float


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """The moment it was made."""

    cpu: float
    wall: float

    @classmethod
    def start(cls) -> Stopwatch:
        """Return one that starts now."""
        return cls(time.process_time(), time.perf_counter())

    def read(self) -> tuple[float, float]:
        """Return the CPU and wall seconds since."""
        return time.process_time() - self.cpu, time.perf_counter() - self.wall


def step_seconds(sampling: tuple[float, float], training: tuple[float, float], step: tuple[float, float]) -> Seconds:
    """Return the parts, each (CPU, wall), as one value."""
    return Seconds(sampling[0], training[0], step[0], sampling[1], training[1], step[1])


class OwnStep:
    """A step as the trainer makes it: the torch engine's rollouts, advantages, packed update, refreshed engine."""

    def __init__(self, model: Any, work: Workload, rewards: Sequence[float], max_tokens: int) -> None:
        self._model, self._work, self._rewards, self._max_tokens = model, work, rewards, max_tokens
        enable_segment_attention(model)
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        self._engine = TorchEngine(model, stop_token_ids=set(), max_rows=len(work.appended), max_context=768)
        self.num_trained = 0

    def run(self) -> Seconds:
        """Make one step."""
        whole = Stopwatch.start()
        traces = asyncio.run(self._play())
        sampling = whole.read()
        training = Stopwatch.start()
        groups = [self._rewards[start : start + GROUP_SIZE] for start in range(0, len(traces), GROUP_SIZE)]
        advantages = [one for group in step_advantages(groups, "std") for one in group]
        samples = [TrainingSample.from_trace(*pair) for pair in zip(traces, advantages, strict=True)]
        update(
            self._model,
            self._optimizer,
            samples,
            LossConfig(kind="dapo"),
            temperature=1.0,
            max_tokens=self._max_tokens,
            grad_clip=1.0,
            share_prefixes=True,
        )
        self._engine.refresh()
        self.num_trained = sum(sample.num_actions for sample in samples)
        return step_seconds(sampling, training.read(), whole.read())

    async def _play(self) -> list[TokenTrace]:
        return list(await asyncio.gather(*(self._play_row(row) for row in range(len(self._work.appended)))))

    async def _play_row(self, row: int) -> TokenTrace:
        session, trace = self._engine.open(row), TokenTrace()
        for token_ids, num_tokens in zip(self._work.appended[row], self._work.num_sampled[row], strict=True):
            sample = await session.sample(token_ids, num_tokens)
            trace.extend(token_ids)
            trace.extend(sample.token_ids, sample.logprobs)
        session.close()
        return trace


def measure_steps(model: Any, work: Workload, repeats: int, max_tokens: int, seed: int) -> dict[str, Any]:
    """Return the medians of both sides over `repeats` steps each, after one to warm up, and their ratios.

    Raises UsageError without TRL.
    """
    if find_spec("trl") is None:
        raise UsageError(
            90, "TRL is not installed, to compare with", next_step="pip install -e '.[dev]', or --part packing"
        )
    from scripts.bench_trl import train_with_trl

    random = Random(seed)
    rewards = [random.random() for _ in work.appended]
    own = OwnStep(copy.deepcopy(model), work, rewards, max_tokens)
    own_seconds: list[Seconds] = []

    def after_each_step() -> None:
        own_seconds.append(own.run())

    with tempfile.TemporaryDirectory() as folder:
        theirs = train_with_trl(model, work, rewards, repeats + 1, folder, after_each_step)
    return {
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "rollouts": len(work.appended),
        "generated_tokens": work.num_generated,
        "trained_tokens": {"mailsleuth": own.num_trained, "trl": theirs.num_trained},
        "mailsleuth": asdict(_medians(own_seconds[1:])),
        "trl": asdict(_medians(theirs.seconds[1:])),
        "times_as_fast": _ratios(_medians(theirs.seconds[1:]), _medians(own_seconds[1:])),
    }


def _medians(steps: Sequence[Seconds]) -> Seconds:
    return Seconds(*(round(median(map(attrgetter(name), steps)), 4) for name in _names()))


def _ratios(slow: Seconds, fast: Seconds) -> dict[str, float]:
    return {name: round(getattr(slow, name) / getattr(fast, name), 2) for name in _names()}


def _names() -> tuple[str, ...]:
    return tuple(Seconds.__dataclass_fields__)
