"""The canary of every step: whether the sampler followed the update that the trainer just made.

One text that nobody trains on is read by trainer and sampler after each refresh. How much of the trainer's change of
its logprobs is seen in the sampler says whether the new weights arrived: 1 when they did, 0 when all stayed at home,
however small the step was. Their disagreement itself (`mismatch_kl`) says nothing at the learning rates of LoRA.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from agent.grpo.distributed import ALONE, Peers
from agent.grpo.doctor import is_lost
from agent.grpo.logprobs import prompt_logprobs
from agent.sampling.engine import TrainedEngine

# What rounding alone does to a logprob, nats: a change below is none, and no share is surer than that.
_ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 4e-3, torch.float16: 1e-3}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Followed:
    """How far a sampler followed a step: `change` is the trainer's, in nats (root mean square over the tokens).

    `share` of it was seen in the sampler, with the standard error `error`.
    """

    change: float
    share: float
    error: float

    @property
    def is_lost(self) -> bool:
        """Whether the weights surely did not arrive."""
        return is_lost(self.share, self.error)


def followed(trainer: Sequence[float], sampler: Sequence[float], rounding: float) -> Followed | None:
    """Return how the sampler's changes of the tokens' logprobs follow the trainer's, by least squares.

    None when the trainer's are not more than rounding, or when a number is not finite.
    """
    size = len(trainer)
    power = math.fsum(change * change for change in trainer)
    if not all(map(math.isfinite, [*trainer, *sampler])) or math.sqrt(power / size) <= 2 * rounding:
        return None
    share = math.fsum(mine * theirs for mine, theirs in zip(trainer, sampler, strict=True)) / power
    left = math.fsum((theirs - share * mine) ** 2 for mine, theirs in zip(trainer, sampler, strict=True))
    error = max(math.sqrt(left / size), rounding) / math.sqrt(power)
    return Followed(math.sqrt(power / size), share, error)


class Canary:
    """Remembers what trainer and samplers said of `token_ids`; `begin` before the first update of a sitting.

    Steps that change less than rounding add up until they can be judged.
    """

    def __init__(self, model: PreTrainedModel, token_ids: Sequence[int], peers: Peers = ALONE) -> None:
        self._model, self._ids, self._peers = model, tuple(token_ids), peers
        self._rounding = _ROUNDING.get(model.dtype, 4e-3)
        self._trainer: tuple[float, ...] = ()
        self._samplers: dict[str, list[float]] = {}
        self._named: set[str] = set()

    def begin(self, engine: TrainedEngine) -> None:
        """Take down what both say before an update, unless a checkpoint told it."""
        if not self._trainer:
            self._trainer, self._samplers = prompt_logprobs(self._model, self._ids), engine.probe(self._ids)

    def look(self, engine: TrainedEngine, step: int) -> dict[str, float]:
        """Return the metrics of the change since the last ones, of the sampler that followed least; {} for none."""
        trainer, samplers = prompt_logprobs(self._model, self._ids), engine.probe(self._ids)
        changes, found = _changes(self._trainer, trainer), []
        for name in samplers.keys() & self._samplers.keys():
            one = followed(changes, _changes(self._samplers[name], samplers[name]), self._rounding)
            if one is not None:
                found.append(one)
                self._name(name, one, step)
        found = self._peers.gather(found)
        if not found:
            self._samplers = samplers | self._samplers  # a server that came back begins here
            return {}
        self._trainer, self._samplers = trainer, samplers
        least = min(found, key=lambda one: (not one.is_lost, one.share))
        return {"probe_change": least.change, "probe_followed": least.share, "probe_error": least.error}

    def state(self) -> dict[str, Any]:
        """Return what is remembered, as JSON."""
        return {"trainer": self._trainer, "samplers": self._samplers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._trainer, self._samplers = tuple(state["trainer"]), dict(state["samplers"])

    def _name(self, name: str, one: Followed, step: int) -> None:
        """Say which of several it is, once: a row of metrics has no names."""
        if one.is_lost and len(self._samplers) > 1 and name not in self._named:
            self._named.add(name)
            _log.warning("step %d: %s does not have the new weights", step, name)


def _changes(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [now - then for then, now in zip(before, after, strict=True)]
