"""The policies that can be chosen, found where runs are written; each is loaded once, when it is first asked for.

Knows nothing of how a policy acts.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agent.policies import load_policy
from agent.policies.chat_models import sends_to
from agent.policies.heuristics import HEURISTICS
from agent.policies.scripted import Gold
from agent.policy import Policy
from inbox_env.errors import UsageError
from scripts.policy_choices import default_policy, local_policies

SCRIPTS = {
    "keywords-and": "searches all words, opens the first hit",
    "keywords-names": "searches the names, opens the first hit",
    "keywords-retry": "searches the names, drops words until something is found",
    "keywords-bm25": "any of the words, best match first",
    "demonstrator": "the teacher: searches well, reads perfectly",
    "oracle": "opens the right mail at once",
}
HAND = "hand"  # you


class PolicyShelf:
    """Policies by spec; `gold` are the labelled questions that scripts need."""

    def __init__(self, gold: Gold, given: str | None = None) -> None:
        self._gold = gold
        self._given = given
        self._loads: dict[str, asyncio.Task[Policy]] = {}

    def choices(self) -> list[dict[str, Any]]:
        """Return what the page offers, the default first."""
        first = self._given or default_policy()
        specs = dict.fromkeys(spec for spec in (first, *local_policies(), *(SCRIPTS if self._gold else ())) if spec)
        return [_choice(spec) for spec in specs]

    def is_loaded(self, spec: str) -> bool:
        """Return whether asking for it takes no time."""
        return spec in self._loads and self._loads[spec].done()

    async def get(self, spec: str) -> Policy:
        """Return a policy, loaded in a thread the first time; raises MailsleuthError.

        Whoever leaves meanwhile leaves the loading to those who come.
        """
        if spec not in self._loads:
            self._loads[spec] = asyncio.create_task(asyncio.to_thread(load_policy, spec, self._gold or None))
            self._loads[spec].add_done_callback(lambda load: self._forget_failed(spec, load))
        return await asyncio.shield(self._loads[spec])

    def _forget_failed(self, spec: str, load: asyncio.Task[Policy]) -> None:
        if load.cancelled() or load.exception():
            del self._loads[spec]


def check_consent(spec: str, *, is_agreed: bool) -> None:
    """Raise UsageError when mail would leave this machine and that was not agreed to."""
    if (host := sends_to(spec)) and not is_agreed:
        raise UsageError(2, f"mail would be sent to {host}", next_step="agree to it first, or choose a local policy")


def _choice(spec: str) -> dict[str, Any]:
    return {
        "spec": spec,
        "about": SCRIPTS.get(spec, ""),
        "needs_label": spec in HEURISTICS or spec in SCRIPTS,
        "sends_to": sends_to(spec),
    }
