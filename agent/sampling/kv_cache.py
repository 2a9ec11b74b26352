"""Keys and values of all open rows in one preallocated block, appended in place and never reallocated.

Knows nothing of weights, sampling or who owns a row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inbox_env.errors import ResourceError


class KVCache:
    """Keys and values `[layers, 2, rows, kv_heads, max_context, head_dim]` and the filled length of every row.

    The block is zeroed: what lies beyond a row's length is masked, but a masked NaN would still spread.
    """

    def __init__(
        self,
        num_layers: int,
        max_rows: int,
        num_kv_heads: int,
        max_context: int,
        head_dim: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (num_layers, 2, max_rows, num_kv_heads, max_context, head_dim)
        try:
            self.block = torch.zeros(shape, dtype=dtype, device=device)
        except RuntimeError as error:
            size = math.prod(shape) * dtype.itemsize / 2**30
            next_step = "lower max_rows or max_context"
            raise ResourceError(1, f"no memory for a KV cache of {size:.1f} GiB", next_step=next_step) from error
        self.lengths = [0] * max_rows

    @property
    def max_rows(self) -> int:
        """The number of sequences that fit."""
        return self.block.shape[2]

    @property
    def max_context(self) -> int:
        """The number of tokens that fit in one row."""
        return self.block.shape[4]

    def write(self, layer: int, rows: Tensor, positions: Tensor, keys_values: Tensor) -> None:
        """Store `keys_values` `[tokens, 2, kv_heads, head_dim]` at (rows, positions), both `[tokens]`."""
        self.block[layer][:, rows, :, positions] = keys_values

    def copy(self, source: int, target: int, length: int) -> None:
        """Make row `target` hold the first `length` tokens of row `source`."""
        self.block[:, :, target, :, :length] = self.block[:, :, source, :, :length]
        self.lengths[target] = length

    def clear(self) -> None:
        """Forget everything, non-finite leftovers of a failure included."""
        self.block.zero_()
        self.lengths = [0] * self.max_rows
