"""Gradient checkpointing that leaves a model in evaluation mode: nothing is dropped out, only layers are recomputed.

Knows nothing of what is trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.modeling_layers import GradientCheckpointingLayer


def enable_gradient_checkpointing(model: Any) -> None:
    """Make every layer keep its input only and compute the rest again in the backward pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the new name is not in every version that we take
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in _layers(model):
        layer.training = True  # transformers recomputes only layers in training mode; what is inside stays as it is


@contextmanager
def without_checkpointing(model: Any) -> Iterator[None]:
    """Let layers use a cache, which a recomputing layer would throw away."""
    layers = [layer for layer in _layers(model) if layer.training]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


def _layers(model: Any) -> list[GradientCheckpointingLayer]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
