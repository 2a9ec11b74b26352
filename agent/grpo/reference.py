"""The reference policy: the model that the run started from, asked for its logprobs of a step's sampled tokens.

A frozen copy for a model that is trained whole; the model itself with its adapter switched off for one that is trained
through an adapter, at no memory. Knows nothing of losses.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agent.grpo.logprobs import action_logprobs
from agent.grpo.packing import MicroBatch


class Reference(Protocol):
    """Gives logprobs under the policy that the run started from."""

    def logprobs(self, batch: MicroBatch, temperature: float) -> Tensor:
        """Return float32 [N] without gradient; `batch` is on the model's device."""
        ...


class FrozenCopy:
    """The model as it was when the copy was made."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = deepcopy(model).requires_grad_(False)

    def logprobs(self, batch: MicroBatch, temperature: float) -> Tensor:
        """Return float32 [N] without gradient."""
        return _logprobs(self._model, batch, temperature)


class AdapterOff:
    """The model that is trained, such as a `peft.PeftModel`, with its adapter switched off while it is asked."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def logprobs(self, batch: MicroBatch, temperature: float) -> Tensor:
        """Return float32 [N] without gradient."""
        with self._model.disable_adapter():
            return _logprobs(self._model, batch, temperature)


def make_reference(model: PreTrainedModel) -> Reference:
    """Return the reference of `model` as it is now, before its first update."""
    return AdapterOff(model) if hasattr(model, "disable_adapter") else FrozenCopy(model)


def _logprobs(model: PreTrainedModel, batch: MicroBatch, temperature: float) -> Tensor:
    with torch.no_grad():
        return action_logprobs(model, batch, temperature)[0]
