"""Terms: what a policy is told before it acts, and the limits that it plays under; equal ones make a fair comparison.

Knows nothing of policies.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from inbox_env.env import EnvLimits
from inbox_env.search.base import Match


class Terms(BaseModel):
    """`prompt` is a file of agent/prompts; None for a script, which reads none."""

    model_config = ConfigDict(frozen=True)

    prompt: str | None
    limits: EnvLimits

    def matching(self, match: Match) -> EnvLimits:
        """Return the limits with searches that find all keywords or any."""
        return self.limits.model_copy(update={"match": match})
