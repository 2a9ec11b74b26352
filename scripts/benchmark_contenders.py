"""Contenders: a policy at a temperature, and the seeds it is played with. Names of rows and of episode files.

Knows nothing of questions or of results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.evaluate import Role
from agent.policies import LOCAL
from agent.policies.chat_models import parse_chat_spec


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the comparison."""

    spec: str
    label: str
    temperature: float
    seeds: tuple[int, ...]

    def key(self, seed: int) -> str:
        """Return the name under which the episodes of one seed are kept."""
        warmth = f" T={self.temperature:g}" if self.temperature else ""
        return f"{self.spec}{warmth}" + (f" seed={seed}" if seed else "")

    @property
    def is_chat(self) -> bool:
        """Whether it is a chat model behind an API."""
        return parse_chat_spec(self.spec) is not None

    @property
    def is_trained(self) -> bool:
        """Whether its model is that of a run, alone or as a reader: it keeps the terms that it was trained under."""
        return LOCAL in self.spec and (Path(self.spec.partition(LOCAL)[2]) / "model").is_dir()

    @property
    def role(self) -> Role:
        """What it is in the comparison."""
        if self.spec == "oracle":
            return "oracle"
        if self.spec == "demonstrator":
            return "demonstrator"
        if not self.spec.startswith(LOCAL):
            return "baseline"
        return "trained" if self.is_trained else "base"

    def weights(self) -> list[list[str | int]] | None:
        """Return name, size and time of a local model's files, which training changes; None: no model."""
        if LOCAL not in self.spec:
            return None
        folder = Path(self.spec.partition(LOCAL)[2])
        files = sorted(folder.glob("*.safetensors")) + sorted((folder / "model").glob("*.safetensors"))
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def make_contenders(specs: Sequence[str], temperatures: Sequence[float], seeds: Sequence[int]) -> list[Contender]:
    """Return one contender a policy and temperature; what draws nothing at random is played once."""
    contenders = []
    for spec in dict.fromkeys(specs):
        if not _is_sampled(spec):
            contenders.append(Contender(spec, spec, 0.0, tuple(seeds) if spec == "demonstrator" else (0,)))
            continue
        for temperature in dict.fromkeys(temperatures):
            label = f"{spec} T={temperature:g}" if len(set(temperatures)) > 1 else spec
            contenders.append(Contender(spec, label, temperature, tuple(seeds)))
    return contenders


def _is_sampled(spec: str) -> bool:
    return LOCAL in spec or parse_chat_spec(spec) is not None
