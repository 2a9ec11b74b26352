"""What the torch engine needs of a model: a forward pass over a cache in which every row has its own length.

Knows nothing of sampling; `Decoder` and `HfDecoder` are two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from agent.sampling.kv_cache import KVCache


@dataclass(frozen=True, slots=True)
class Append:
    """New tokens for one row; their positions start at the row's filled length."""

    row: int
    token_ids: Sequence[int]


class CachedModel(Protocol):
    """A model's forward pass over the rows of a cache."""

    vocab_size: int

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def refresh(self) -> None:
        """Use the model's weights as they are now."""
        ...

    def new_cache(self, max_rows: int, max_context: int) -> KVCache:
        """Return an empty cache of this model's shape."""
        ...

    def append(self, cache: KVCache, appends: Sequence[Append]) -> Tensor:
        """Return hidden states `[all new tokens, hidden]`, in the order of `appends`; rows are distinct."""
        ...

    def step(self, cache: KVCache, rows: Sequence[int], token_ids: Sequence[int]) -> Tensor:
        """Append one token to each of `rows` (distinct) and return hidden states `[rows, hidden]`."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits `[tokens, vocabulary]` of hidden states from `append` or `step`."""
        ...
