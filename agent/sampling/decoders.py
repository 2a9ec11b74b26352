"""The forward pass that samples from a model in this process, chosen by the model's shape.

`Decoder` where it computes the shape exactly, transformers' own forward pass for every other.
"""

from __future__ import annotations

from typing import Any

from agent.lora import plain_model
from agent.sampling.cached_model import CachedModel
from agent.sampling.decoder import Decoder
from agent.sampling.decoder_weights import is_supported
from agent.sampling.hf_decoder import HfDecoder


def make_decoder(model: Any, max_context: int) -> CachedModel:
    """Return the fastest forward pass that is exact for `model`, its adapter included if it has one.

    Raises UsageError for a model that neither computes exactly.
    """
    model = plain_model(model)
    return Decoder(model, max_context) if is_supported(model, max_context) else HfDecoder(model, max_context)
