"""Bundles: samples that begin with the same tokens, which one forward pass then needs to read only once.

The rollouts of a group share their prompt, and often their first turns. Knows nothing of tensors or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.grpo.samples import TrainingSample


@dataclass(frozen=True, slots=True)
class Bundle:
    """Samples whose first `num_shared` input tokens are equal; 0 for a sample alone."""

    samples: tuple[TrainingSample, ...]
    num_shared: int = 0

    @property
    def num_tokens(self) -> int:
        """Input tokens of all samples, the shared ones counted once."""
        return self.num_shared + sum(sample.num_inputs - self.num_shared for sample in self.samples)

    def joined_by(self, sample: TrainingSample) -> Bundle:
        """Return the bundle with one sample more; they share what this one shares, or less."""
        first = self.samples[0]
        most = self.num_shared if len(self.samples) > 1 else first.num_inputs
        most = min(most, sample.num_inputs)
        return Bundle((*self.samples, sample), _num_equal(first.token_ids[:most], sample.token_ids[:most]))


def alone(samples: Sequence[TrainingSample]) -> list[Bundle]:
    """Return each sample as a bundle of its own."""
    return [Bundle((sample,)) for sample in samples]


def bundled(samples: Sequence[TrainingSample], max_tokens: int) -> list[Bundle]:
    """Return neighbouring samples in bundles of at most `max_tokens` tokens, each grown while that saves tokens."""
    return list(_grown(samples, max_tokens))


def _grown(samples: Sequence[TrainingSample], max_tokens: int) -> Iterator[Bundle]:
    bundle: Bundle | None = None
    for sample in samples:
        larger = bundle.joined_by(sample) if bundle else Bundle((sample,))
        is_worth_it = bundle is None or larger.num_tokens < bundle.num_tokens + sample.num_inputs
        if bundle and not (is_worth_it and larger.num_tokens <= max_tokens):
            yield bundle
            larger = Bundle((sample,))
        bundle = larger
    if bundle:
        yield bundle


def _num_equal(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences of equal length have in common from their start."""
    if one == other:
        return len(one)
    return next(index for index, (left, right) in enumerate(zip(one, other, strict=True)) if left != right)
