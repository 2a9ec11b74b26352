"""You as a policy: an actor that waits for calls from outside. The episode is recorded and scored like any other.

Knows nothing of the page.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agent.policy import TokenTrace, Usage
from inbox_env.actions import Action, Observation, Opening, ToolCall
from inbox_env.env import EnvLimits

NAME = "by-hand"


class HandPolicy:
    """Plays what `call` is given, one call a turn; for one episode."""

    def __init__(self) -> None:
        self.name = NAME
        self.limits: EnvLimits | None = None
        self._calls: asyncio.Queue[ToolCall] = asyncio.Queue()

    def start(self, opening: Opening) -> HandActor:
        """Return the actor of the episode."""
        del opening
        return HandActor(self._calls)

    def call(self, name: str, arguments: dict[str, Any]) -> None:
        """Make a call; only in the event loop that plays the episode."""
        self._calls.put_nowait(ToolCall(name, arguments))


class HandActor:
    """Waits for the next call."""

    def __init__(self, calls: asyncio.Queue[ToolCall]) -> None:
        self.trace: TokenTrace | None = None
        self.is_truncated = False
        self.usage = Usage()
        self._calls = calls

    async def act(self, observation: Observation | None) -> Action:
        """Return the next call as an action."""
        del observation
        return Action((await self._calls.get(),))

    def close(self) -> None:
        """Nothing is held."""
