"""The sampling engine of a model in this process, chosen by the model's shape.

`Decoder` where it computes the shape exactly, transformers' own forward pass for every other.
"""

from __future__ import annotations

from typing import Any

from agent.lora import plain_model
from agent.sampling.cached_model import CachedModel
from agent.sampling.decoder import Decoder
from agent.sampling.decoder_weights import is_supported
from agent.sampling.hf_engine import HfDecoder
from agent.sampling.torch_engine import TorchEngine


def make_engine(
    model: Any,
    *,
    stop_token_ids: set[int],
    max_rows: int = 256,
    max_context: int = 1024,
    temperature: float = 1.0,
) -> TorchEngine:
    """Return an engine that samples from `model`, its adapter included if it has one.

    Raises UsageError for a model that neither forward pass computes exactly.
    """
    decoder = make_decoder(plain_model(model), max_context)
    return TorchEngine(
        decoder, stop_token_ids=stop_token_ids, max_rows=max_rows, max_context=max_context, temperature=temperature
    )


def make_decoder(model: Any, max_context: int) -> CachedModel:
    """Return the fastest forward pass that is exact for `model`."""
    return Decoder(model, max_context) if is_supported(model, max_context) else HfDecoder(model, max_context)
