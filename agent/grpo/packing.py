"""Packing: training samples laid end to end into micro-batches without padding.

Decides which samples share a micro-batch and what each predicted position needs for the loss. Knows nothing
of models: `agent.segment_attention` keeps the segments apart, `agent.grpo.logprobs` reads the positions.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from agent.grpo.samples import TrainingSample


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward and backward pass: T packed input tokens, of which N positions predict a sampled token.

    Made by `pack`, consumed by `logprobs` and `loss`. A segment ends before its last sampled token, because
    that token is only ever predicted, never read.
    """

    token_ids: Tensor  # [1, T] int64
    position_ids: Tensor  # [1, T] int64, restarting at 0 in each segment
    segment_lengths: tuple[int, ...]  # sums to T
    action_positions: Tensor  # [N] int64, index into T of the position that predicts
    target_ids: Tensor  # [N] int64, the sampled token at the position after
    old_logprobs: Tensor  # [N] float32, the sampler's (the trainer's own, where `agent.grpo.scoring` put them)
    advantages: Tensor  # [N] float32
    sequence_ids: Tensor  # [N] int64, which segment a sampled token is of, from 0
    weights: Tensor | None = None  # [N] float32, of masks and corrections; None: all 1
    ref_logprobs: Tensor | None = None  # [N] float32, the reference's

    @property
    def num_tokens(self) -> int:
        """Number of tokens in the forward pass."""
        return int(self.token_ids.shape[1])

    @property
    def num_actions(self) -> int:
        """Number of tokens in the loss."""
        return len(self.target_ids)

    @property
    def num_sequences(self) -> int:
        """Number of segments, each of which has a sampled token."""
        return len(self.segment_lengths)

    def to(self, device: torch.device | str) -> MicroBatch:
        """Return the same micro-batch on another device."""
        values = {name: getattr(self, name) for name in self.__slots__}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def pack(samples: Sequence[TrainingSample], max_tokens: int) -> list[MicroBatch]:
    """Return as few micro-batches of at most `max_tokens` tokens as balanced filling finds.

    Samples without a sampled token are left out: they have nothing to train on. Raises ValueError when one
    sample alone is longer than `max_tokens`. The result depends on the samples and their order only.
    """
    trainable = [sample for sample in samples if sample.num_actions]
    longest = max((sample.num_inputs for sample in trainable), default=0)
    if longest > max_tokens:
        raise ValueError(f"a sample of {longest} tokens does not fit a micro-batch of {max_tokens}")
    return [_micro_batch([trainable[index] for index in bin_]) for bin_ in _bins(trainable, max_tokens)]


def _bins(samples: Sequence[TrainingSample], max_tokens: int) -> list[list[int]]:
    """Return indices of samples by micro-batch: longest first into the lightest, with as few as fit."""
    if not samples:
        return []
    lengths = [sample.num_inputs for sample in samples]
    order = sorted(range(len(samples)), key=lambda index: (-lengths[index], index))
    for num_bins in count(-(-sum(lengths) // max_tokens)):
        heap: list[tuple[int, int]] = [(0, number) for number in range(num_bins)]
        bins: list[list[int]] = [[] for _ in range(num_bins)]
        for index in order:
            load, number = heap[0]
            heapq.heapreplace(heap, (load + lengths[index], number))
            bins[number].append(index)
        if max(load for load, _ in heap) <= max_tokens:
            return [bin_ for bin_ in bins if bin_]
    raise AssertionError("unreachable: one sample a micro-batch always fits")


def _micro_batch(samples: Sequence[TrainingSample]) -> MicroBatch:
    inputs: list[int] = []
    places: list[int] = []
    positions, targets = [], []
    old_logprobs: list[float] = []
    advantages: list[float] = []
    sequence_ids: list[int] = []
    for number, sample in enumerate(samples):
        start = len(inputs)
        sampled = [index for index, is_sampled in enumerate(sample.action_mask) if is_sampled]
        inputs += sample.token_ids[: sample.num_inputs]
        places += range(sample.num_inputs)
        positions += [start + index - 1 for index in sampled]
        targets += [sample.token_ids[index] for index in sampled]
        old_logprobs += [sample.logprobs[index] for index in sampled]
        advantages += [sample.advantage] * len(sampled)
        sequence_ids += [number] * len(sampled)
    return MicroBatch(
        token_ids=torch.tensor([inputs]),
        position_ids=torch.tensor([places]),
        segment_lengths=tuple(sample.num_inputs for sample in samples),
        action_positions=torch.tensor(positions),
        target_ids=torch.tensor(targets),
        old_logprobs=torch.tensor(old_logprobs, dtype=torch.float32),
        advantages=torch.tensor(advantages, dtype=torch.float32),
        sequence_ids=torch.tensor(sequence_ids),
    )
