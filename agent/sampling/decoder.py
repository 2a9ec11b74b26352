"""The forward pass of a Hugging Face causal LM over a KV cache: ragged appends and one-token steps.

Llama, Mistral, Qwen2, Qwen3 and SmolLM3 shapes. Only what a turn needs is computed: one token per row in a step,
packed new tokens in an append, logits where they are asked for. Knows nothing of sampling, sessions or turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agent.sampling.cached_model import Append
from agent.sampling.decoder_weights import check_supported, read_layer, read_linear, read_rotations
from agent.sampling.kv_cache import KVCache

# (layer, queries [tokens, heads, head_dim]) -> [tokens, heads * head_dim]
Attend = Callable[[int, Tensor], Tensor]


class Decoder:
    """Runs `model`'s weights; call `refresh` whenever they changed."""

    def __init__(self, model: Any, max_context: int) -> None:
        check_supported(model, max_context)
        config = model.config
        self._model = model
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.num_layers: int = config.num_hidden_layers
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // self.num_heads
        self.vocab_size: int = model.get_input_embeddings().weight.shape[0]
        self._eps: float = config.rms_norm_eps
        self._rotations = read_rotations(model, max_context, self.head_dim)
        self.refresh()

    def refresh(self) -> None:
        """Read the model's weights again: needed after an optimiser step, since fused matrices are copies."""
        self._embedding: Tensor = self._model.get_input_embeddings().weight.detach()
        self._head: Tensor = read_linear(self._model.get_output_embeddings())
        self._final_norm: Tensor = self._model.model.norm.weight.detach()
        self._layers = [read_layer(layer, self.head_dim) for layer in self._model.model.layers]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._embedding.device

    def new_cache(self, max_rows: int, max_context: int) -> KVCache:
        """Return an empty cache of this model's shape, dtype and device."""
        return KVCache(
            self.num_layers,
            max_rows,
            self.num_kv_heads,
            max_context,
            self.head_dim,
            dtype=self._embedding.dtype,
            device=self.device,
        )

    def append(self, cache: KVCache, appends: Sequence[Append]) -> Tensor:
        """Return the hidden states `[all new tokens, hidden]`, packed in the order of `appends`; rows are distinct."""
        starts = [cache.lengths[append.row] for append in appends]
        counts = [len(append.token_ids) for append in appends]
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        positions = self._ids([p for start, end in zip(starts, ends, strict=True) for p in range(start, end)])
        rows = self._ids([append.row for append in appends for _ in append.token_ids])
        tokens = self._ids([token for append in appends for token in append.token_ids])
        offsets = [0, *accumulate(counts)]
        spans = [
            _Span(append.row, slice(offset, offset + count), end, _causal_mask(start, end, self._embedding))
            for append, offset, count, start, end in zip(appends, offsets, counts, starts, ends, strict=False)
        ]

        def attend(layer: int, queries: Tensor) -> Tensor:
            output = torch.empty_like(queries)
            for span in spans:
                keys, values = cache.block[layer, :, span.row, :, : span.end]
                output[span.tokens] = F.scaled_dot_product_attention(
                    queries[span.tokens].transpose(0, 1)[None],
                    keys[None],
                    values[None],
                    attn_mask=span.mask,
                    enable_gqa=self.num_heads != self.num_kv_heads,
                )[0].transpose(0, 1)
            return output.flatten(1)

        hidden = self._forward(cache, tokens, rows, positions, attend)
        for append, end in zip(appends, ends, strict=True):
            cache.lengths[append.row] = end
        return hidden

    def step(self, cache: KVCache, rows: Sequence[int], token_ids: Sequence[int]) -> Tensor:
        """Append one token to each of `rows` (distinct) and return the hidden states `[rows, hidden]`."""
        lengths = [cache.lengths[row] for row in rows]
        row_ids, positions = self._ids(rows), self._ids(lengths)
        view = self._row_view(cache, rows, row_ids)
        mask = self._length_mask(view.lengths)
        width = mask.shape[-1]

        def attend(layer: int, queries: Tensor) -> Tensor:
            block = cache.block[layer, :, view.index, :, :width]
            keys, values = block.flatten(1, 2)
            if view.scatter is not None:
                queries = queries.new_zeros(len(view.lengths), *queries.shape[1:]).index_copy_(0, row_ids, queries)
            queries = queries.reshape(len(keys), -1, self.head_dim)
            scores = torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=self.head_dim**-0.5)
            output = torch.bmm(scores.softmax(-1), values).view(len(view.lengths), -1)
            return output if view.scatter is None else output[row_ids]

        hidden = self._forward(cache, self._ids(token_ids), row_ids, positions, attend)
        for row in rows:
            cache.lengths[row] += 1
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits `[tokens, vocabulary]` of hidden states from `append` or `step`."""
        normed = F.rms_norm(hidden, hidden.shape[-1:], self._final_norm, self._eps)
        return F.linear(normed, self._head).float()

    def _forward(self, cache: KVCache, tokens: Tensor, rows: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        hidden = F.embedding(tokens, self._embedding)
        rotations = self._rotations[positions]
        num_queries, num_rotated = self.num_heads, self.num_heads + self.num_kv_heads
        for index, layer in enumerate(self._layers):
            normed = F.rms_norm(hidden, hidden.shape[-1:], layer.input_norm, self._eps)
            qkv = layer.qkv(normed).view(len(tokens), -1, self.head_dim)
            self._rotate(qkv[:, :num_rotated], rotations if layer.is_rotated else None, layer.qk_norm)
            cache.write(index, rows, positions, qkv[:, num_queries:].view(len(tokens), 2, -1, self.head_dim))
            hidden = hidden + layer.out(attend(index, qkv[:, :num_queries]))
            normed = F.rms_norm(hidden, hidden.shape[-1:], layer.mlp_norm, self._eps)
            gate, up = layer.gate_up(normed).chunk(2, -1)
            hidden = hidden + layer.down(F.silu(gate) * up)
        return hidden

    def _row_view(self, cache: KVCache, rows: Sequence[int], row_ids: Tensor) -> _RowView:
        """Choose between reading the first rows in place, with holes, and copying a few scattered ones."""
        span = max(rows) + 1
        if len(rows) * 2 < span:
            return _RowView(row_ids, [cache.lengths[row] for row in rows], None)
        is_full = len(rows) == span and list(rows) == list(range(span))
        return _RowView(slice(span), cache.lengths[:span], None if is_full else row_ids)

    def _length_mask(self, positions: Sequence[int]) -> Tensor:
        """Return `[rows * kv_heads, 1, longest + 1]`: 0 up to each row's position, -inf after it."""
        visible = torch.arange(max(positions) + 1, device=self.device) <= self._ids(positions)[:, None]
        mask = torch.zeros(visible.shape, dtype=self._embedding.dtype, device=self.device)
        mask.masked_fill_(~visible, -torch.inf)
        return mask[:, None].expand(-1, self.num_kv_heads, -1).reshape(-1, 1, visible.shape[1])

    def _ids(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)

    def _rotate(self, heads: Tensor, rotations: Tensor | None, norm: Tensor | None) -> None:
        """Normalise (Qwen3) and rotate (not in every layer of SmolLM3) queries and keys in place.

        Interleaved halves are complex numbers.
        """
        if norm is not None:
            torch.mul(F.rms_norm(heads, heads.shape[-1:], None, self._eps), norm, out=heads)
        if rotations is None:
            return
        pairs = heads.float().view(*heads.shape[:-1], -1, 2)  # float32 heads: a view, rotated in place
        torch.view_as_complex(pairs).mul_(rotations)
        if heads.dtype != torch.float32:
            heads.copy_(pairs.flatten(-2))


@dataclass(frozen=True, slots=True)
class _RowView:
    """The cache rows that a step reads and their lengths; `scatter`: where the stepped rows are among them."""

    index: slice | Tensor
    lengths: list[int]
    scatter: Tensor | None


@dataclass(frozen=True, slots=True)
class _Span:
    """Where one row's new tokens are in the packed batch, and what they may see of the row."""

    row: int
    tokens: slice
    end: int
    mask: Tensor


def _causal_mask(start: int, end: int, like: Tensor) -> Tensor:
    mask = torch.full((end - start, end), -torch.inf, dtype=like.dtype, device=like.device)
    return mask.triu_(start + 1)
