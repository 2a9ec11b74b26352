"""Any causal LM of transformers over a KV cache, by its own forward pass: slower than `Decoder`, for every shape.

Keys and values live in the same block as `Decoder`'s, written through transformers' cache interface at each row's own
position. A model that does not compute the same with and without it is refused at the start. Knows nothing of sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from agent.gradient_checkpointing import without_checkpointing
from agent.sampling.cached_model import Append
from agent.sampling.decoder_weights import check_window
from agent.sampling.kv_cache import KVCache
from inbox_env.errors import ResourceError, UsageError

_NUM_PROBES = 7  # tokens of the self-test
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}  # of the largest logit


class HfDecoder:
    """Runs `model` (without a wrapper around it) over a cache; weights are read as they are, nothing is copied."""

    def __init__(self, model: Any, max_context: int) -> None:
        check_window(model.config, max_context)
        self._model, self._head = model, model.get_output_embeddings()
        self.vocab_size: int = model.get_input_embeddings().weight.shape[0]
        self.num_layers, self.num_kv_heads, self.head_dim = 0, 0, 0
        self._learn_shape()

    def refresh(self) -> None:
        """Nothing to do: the model's own weights are read."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self._model.device
        return device

    def new_cache(self, max_rows: int, max_context: int) -> KVCache:
        """Return an empty cache of this model's shape, dtype and device."""
        return KVCache(
            self.num_layers,
            max_rows,
            self.num_kv_heads,
            max_context,
            self.head_dim,
            dtype=self._model.dtype,
            device=self.device,
        )

    def append(self, cache: KVCache, appends: Sequence[Append]) -> Tensor:
        """Return the hidden states `[all new tokens, hidden]`, packed in the order of `appends`; one row at a time."""
        return torch.cat([self._forward(cache, [one.row], [one.token_ids]) for one in appends])

    def step(self, cache: KVCache, rows: Sequence[int], token_ids: Sequence[int]) -> Tensor:
        """Append one token to each of `rows` (distinct) and return the hidden states `[rows, hidden]`."""
        return self._forward(cache, rows, [[token] for token in token_ids])

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits `[tokens, vocabulary]` of hidden states from `append` or `step`."""
        logits: Tensor = self._head(hidden)
        return logits.float()

    def _forward(self, cache: KVCache, rows: Sequence[int], token_ids: Sequence[Sequence[int]]) -> Tensor:
        """Return `[rows * tokens, hidden]` for as many new tokens in each of the rows."""
        starts, count = [cache.lengths[row] for row in rows], len(token_ids[0])
        positions = torch.tensor([list(range(start, start + count)) for start in starts], device=self.device)
        row_ids, width = torch.tensor(list(rows), device=self.device), max(starts) + count
        is_visible = torch.arange(width, device=self.device) <= positions[:, :, None]
        mask = torch.zeros(is_visible.shape, dtype=self._model.dtype, device=self.device)
        mask.masked_fill_(~is_visible, torch.finfo(mask.dtype).min)
        layers = [_RowsLayer(cache, layer, row_ids, positions, width) for layer in range(self.num_layers)]
        with without_checkpointing(self._model), _sdpa(self._model):
            output = self._model.get_decoder()(
                input_ids=torch.tensor([list(ids) for ids in token_ids], device=self.device),
                position_ids=positions,
                attention_mask=mask[:, None],
                past_key_values=Cache(layers=layers),
                use_cache=True,
            )
        for row in rows:
            cache.lengths[row] += count
        states: Tensor = output.last_hidden_state
        return states.flatten(0, 1)

    @torch.inference_mode()
    def _learn_shape(self) -> None:
        """Raise UsageError unless appending and stepping give what one full forward pass gives."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(self.vocab_size, (_NUM_PROBES,), generator=generator).tolist()
        try:
            with without_checkpointing(self._model), _sdpa(self._model):
                whole = self._model(torch.tensor([ids], device=self.device), use_cache=True)
            keys = [layer.keys for layer in whole.past_key_values.layers]
            self.num_layers, (_, self.num_kv_heads, _, self.head_dim) = len(keys), keys[0].shape
            cache = self.new_cache(3, _NUM_PROBES)
            self.append(cache, [Append(0, ids[:2]), Append(2, ids[: _NUM_PROBES - 2])])
            found = torch.cat([self.logits(self.step(cache, [0, 2], [ids[2], token]))[1:] for token in ids[-2:]])
        except (ResourceError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a shape that the cache does not fit fails in many ways
            raise _unsupported(self._model, type(error).__name__) from error
        wanted = whole.logits[0, -2:].float()
        allowed = _TOLERANCE.get(self._model.dtype, 0.1) * max(1.0, float(wanted.abs().max()))
        if not float((found - wanted).abs().max()) <= allowed:
            raise _unsupported(self._model, "its logits change with a cache")


class _RowsLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed
    """One layer of some rows of a block, as transformers' attention reads and writes it."""

    def __init__(self, cache: KVCache, layer: int, rows: Tensor, positions: Tensor, width: int) -> None:
        super().__init__()
        self._cache, self._layer, self._rows, self._positions, self._width = cache, layer, rows, positions, width
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write `[rows, heads, tokens, head_dim]` at their positions, and return all that the rows hold."""
        states = torch.stack([key_states, value_states]).permute(1, 3, 0, 2, 4)
        rows = self._rows.repeat_interleave(self._positions.shape[1])
        self._cache.write(self._layer, rows, self._positions.flatten(), states.flatten(0, 1))
        keys, values = self._cache.block[self._layer, :, self._rows, :, : self._width]
        return keys, values

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the block is there."""

    def get_mask_sizes(self, _query_length: int) -> tuple[int, int]:
        """Return the keys' number and offset."""
        return self._width, 0

    def get_seq_length(self) -> int:
        """Return the longest row's length before the new tokens."""
        return self._width - int(self._positions.shape[1])

    def get_max_length(self) -> int:
        """Return the length of a row."""
        return self._cache.max_context


@contextmanager
def _sdpa(model: Any) -> Iterator[None]:
    """Use torch's attention instead of the trainer's, for as long as the context lasts."""
    before = model.config._attn_implementation
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _unsupported(model: Any, why: str) -> UsageError:
    what = f"cannot sample exactly from a {model.config.model_type!r} model: {why}"
    return UsageError(6, what, where="sampling engine", next_step="use a decoder with full attention")
