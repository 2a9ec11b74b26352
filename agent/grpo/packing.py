"""Packing: training samples laid end to end into micro-batches without padding.

Decides which samples share a micro-batch and what each predicted position needs for the loss. Knows nothing
of models: `agent.segment_attention` keeps the segments apart, `agent.grpo.logprobs` reads the positions.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from agent.grpo.bundles import Bundle, alone, bundled
from agent.grpo.samples import TrainingSample


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward and backward pass: T packed input tokens, N predictions of a sampled token.

    Made by `pack`, consumed by `logprobs` and `loss`. A sequence ends before its last sampled token, because
    that token is only ever predicted, never read. Where sequences begin alike, that is a segment of its own, which the
    segments that go on from it name as their parent; one of its positions may then predict for several sequences.
    """

    token_ids: Tensor  # [1, T] int64
    position_ids: Tensor  # [1, T] int64, restarting in each segment where its parent ends, or at 0
    segment_lengths: tuple[int, ...]  # sums to T
    action_positions: Tensor  # [N] int64, index into T of the position that predicts
    target_ids: Tensor  # [N] int64, the sampled token at the position after
    old_logprobs: Tensor  # [N] float32, the sampler's (the trainer's own, where `agent.grpo.scoring` put them)
    advantages: Tensor  # [N] float32
    sequence_ids: Tensor  # [N] int64, which sequence a sampled token is of, from 0
    num_sequences: int
    segment_parents: tuple[int, ...] = ()  # by segment, an earlier one or -1; empty: no segment has one
    weights: Tensor | None = None  # [N] float32, of masks and corrections; None: all 1
    ref_logprobs: Tensor | None = None  # [N] float32, the reference's
    lines: tuple[int, ...] = ()  # by sequence, its sample's `line`

    @property
    def num_tokens(self) -> int:
        """Number of tokens in the forward pass."""
        return int(self.token_ids.shape[1])

    @property
    def num_actions(self) -> int:
        """Number of tokens in the loss."""
        return len(self.target_ids)

    def to(self, device: torch.device | str) -> MicroBatch:
        """Return the same micro-batch on another device."""
        values = {name: getattr(self, name) for name in self.__slots__}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def pack(samples: Sequence[TrainingSample], max_tokens: int, *, share_prefixes: bool = False) -> list[MicroBatch]:
    """Return as few micro-batches of at most `max_tokens` tokens as balanced filling finds.

    With `share_prefixes`, what neighbouring samples begin with alike is read once. Samples without a sampled token are
    left out: they have nothing to train on. Raises ValueError when one sample alone is longer than `max_tokens`. The
    result depends on the samples and their order only.
    """
    trainable = [sample for sample in samples if sample.num_actions]
    longest = max((sample.num_inputs for sample in trainable), default=0)
    if longest > max_tokens:
        raise ValueError(f"a sample of {longest} tokens does not fit a micro-batch of {max_tokens}")
    bundles = bundled(trainable, max_tokens) if share_prefixes else alone(trainable)
    return [_micro_batch([bundles[index] for index in bin_]) for bin_ in _bins(bundles, max_tokens)]


def _bins(bundles: Sequence[Bundle], max_tokens: int) -> list[list[int]]:
    """Return indices of bundles by micro-batch: longest first into the lightest, with as few as fit."""
    if not bundles:
        return []
    lengths = [bundle.num_tokens for bundle in bundles]
    order = sorted(range(len(bundles)), key=lambda index: (-lengths[index], index))
    for num_bins in count(-(-sum(lengths) // max_tokens)):
        heap: list[tuple[int, int]] = [(0, number) for number in range(num_bins)]
        bins: list[list[int]] = [[] for _ in range(num_bins)]
        for index in order:
            load, number = heap[0]
            heapq.heapreplace(heap, (load + lengths[index], number))
            bins[number].append(index)
        if max(load for load, _ in heap) <= max_tokens:
            return [bin_ for bin_ in bins if bin_]
    raise AssertionError("unreachable: one bundle a micro-batch always fits")


def _micro_batch(bundles: Sequence[Bundle]) -> MicroBatch:
    layout = _Layout()
    for bundle in bundles:
        layout.add(bundle)
    return layout.micro_batch()


@dataclass(slots=True)
class _Layout:
    """A micro-batch while it grows, as lists."""

    token_ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    old_logprobs: list[float] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)
    sequence_ids: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    num_sequences: int = 0

    def add(self, bundle: Bundle) -> None:
        """Append the shared tokens, and what each sample goes on with."""
        num_shared, shared_start, parent = bundle.num_shared, len(self.token_ids), -1
        if num_shared:
            parent = self._segment(bundle.samples[0].token_ids[:num_shared], 0, -1)
        for sample in bundle.samples:
            start = len(self.token_ids)
            if sample.num_inputs > num_shared:
                self._segment(sample.token_ids[num_shared : sample.num_inputs], num_shared, parent)
            sampled = [index for index, is_sampled in enumerate(sample.action_mask) if is_sampled]
            self.positions += [
                shared_start + index - 1 if index <= num_shared else start + index - 1 - num_shared for index in sampled
            ]
            self.targets += [sample.token_ids[index] for index in sampled]
            self.old_logprobs += [sample.logprobs[index] for index in sampled]
            self.advantages += [sample.advantage] * len(sampled)
            self.sequence_ids += [self.num_sequences] * len(sampled)
            self.lines.append(sample.line)
            self.num_sequences += 1

    def micro_batch(self) -> MicroBatch:
        """Return what was added as tensors."""
        return MicroBatch(
            token_ids=torch.tensor([self.token_ids]),
            position_ids=torch.tensor([self.places]),
            segment_lengths=tuple(self.lengths),
            action_positions=torch.tensor(self.positions),
            target_ids=torch.tensor(self.targets),
            old_logprobs=torch.tensor(self.old_logprobs, dtype=torch.float32),
            advantages=torch.tensor(self.advantages, dtype=torch.float32),
            sequence_ids=torch.tensor(self.sequence_ids),
            num_sequences=self.num_sequences,
            segment_parents=tuple(self.parents) if max(self.parents) >= 0 else (),
            lines=tuple(self.lines),
        )

    def _segment(self, token_ids: Sequence[int], place: int, parent: int) -> int:
        """Append one segment whose first token is at `place` of its sequences; return its number."""
        self.token_ids += token_ids
        self.places += range(place, place + len(token_ids))
        self.lengths.append(len(token_ids))
        self.parents.append(parent)
        return len(self.lengths) - 1
