"""Figures that others published, with their source: shown in a table of their own, never mixed with measured ones.

Knows nothing of what was measured here.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from agent.statistics import wilson


class Published(BaseModel):
    """One policy as somebody else measured it; what was not published is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The policy."""
    accuracy: float | None = None
    """Share of answers right."""
    num_questions: int | None = None
    """How many questions that is a share of."""
    seconds: float | None = None
    """Latency of an episode."""
    cost: float | None = None
    """Dollars for 1,000 episodes."""
    source: str
    """Where it was published."""

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Wilson interval that belongs to so many questions."""
        if self.accuracy is None or self.num_questions is None:
            return None
        return wilson(round(self.accuracy * self.num_questions), self.num_questions)


def read_published() -> list[Published]:
    """Return the figures of scripts/configs/published.toml."""
    text = (files("scripts") / "configs" / "published.toml").read_text(encoding="utf-8")
    return [Published.model_validate(row) for row in tomllib.loads(text)["figure"]]
