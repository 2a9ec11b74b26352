"""Playing an episode for the page: the events of one question, from being asked to its score.

The episode runs in the episodes' thread; its events come back to the server's loop. Closing the stream of events
cancels the episode. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.policy import Policy
from agent.rollout import rollout
from inbox_env.actions import StopReason
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.errors import MailsleuthError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.redaction import without_secrets
from inbox_env.trajectory import Trajectory, Turn, write_trajectories
from rewards.ladder import Mode
from scripts.playground.cards import ending_event, question_event, turn_card
from scripts.playground.episode_loop import EpisodeLoop
from scripts.playground.event_stream import Event, Events
from scripts.playground.hand import HandPolicy
from scripts.playground.policy_shelf import PolicyShelf
from scripts.playground.scoring import score_event, with_reward

_END: Event = ("end", {})


@dataclass(frozen=True, slots=True)
class Play:
    """One episode to be played: `policy` is a spec, or yourself."""

    question: Question
    inbox: Inbox
    policy: str | HandPolicy
    is_labelled: bool
    mode: Mode = "answer"
    max_turns: int | None = None
    deadline_seconds: float | None = 120.0
    save: Path | None = None


class Episodes:
    """Plays episodes in their own thread."""

    def __init__(self, loop: EpisodeLoop, shelf: PolicyShelf) -> None:
        self._loop, self._shelf = loop, shelf

    async def events(self, play: Play, **opening: Any) -> Events:
        """Yield the events of one episode, the question with `opening` first; leaving cancels what still runs."""
        name = play.policy if isinstance(play.policy, str) else play.policy.name
        asked = question_event(play.question, name, is_labelled=play.is_labelled)
        yield "question", asked | opening
        queue: asyncio.Queue[Event] = asyncio.Queue()
        here = asyncio.get_running_loop()

        def tell(name: str, data: dict[str, Any]) -> None:
            here.call_soon_threadsafe(queue.put_nowait, (name, data))

        work = self._loop.start(_Performance(play, self._shelf, tell).run())
        work.add_done_callback(lambda _: here.call_soon_threadsafe(queue.put_nowait, _END))
        try:
            while (event := await queue.get()) is not _END:
                yield event
        finally:
            work.cancel()

    def call(self, policy: HandPolicy, name: str, arguments: dict[str, Any]) -> None:
        """Make a call in an episode that is played by hand."""

        async def make() -> None:
            policy.call(name, arguments)

        self._loop.start(make())


class _Performance:
    """One episode in the episodes' thread; everything that happens is told."""

    def __init__(self, play: Play, shelf: PolicyShelf, tell: Any) -> None:
        self._play, self._shelf, self._tell = play, shelf, tell
        self._num_turns = 0

    async def run(self) -> None:
        """Play, score and save; a failure is told, never raised."""
        try:
            policy = await self._policy()
            limits = self._limits(policy)
            env = InboxEnv(self._play.inbox, self._play.question, limits)
            deadline = self._play.deadline_seconds
            played = await rollout(policy, env, deadline_seconds=deadline, on_turn=self._on_turn)
            self._finish(played.trajectory, limits)
        except MailsleuthError as error:
            self._tell("failed", {"error": without_secrets(str(error)), "code": error.code})
        except Exception as error:  # the page must hear of it: nobody looks at the terminal
            self._tell(
                "failed", {"error": without_secrets(f"{type(error).__name__}: {error}")[:300], "code": "E-BUG-00"}
            )

    async def _policy(self) -> Policy:
        chosen = self._play.policy
        if isinstance(chosen, HandPolicy):
            return chosen
        if not self._shelf.is_loaded(chosen):
            self._tell("loading", {"policy": chosen})
        return await self._shelf.get(chosen)

    def _limits(self, policy: Policy) -> EnvLimits:
        limits = policy.limits or EnvLimits()
        turns = self._play.max_turns
        return limits if turns is None else limits.model_copy(update={"max_turns": turns})

    def _on_turn(self, turn: Turn) -> None:
        self._num_turns += 1
        self._tell("turn", turn_card(turn, self._num_turns, self._play.inbox, self._play.question.as_of))

    def _finish(self, trajectory: Trajectory, limits: EnvLimits) -> None:
        play = self._play
        self._tell("ending", ending_event(trajectory, play.inbox, play.question))
        if play.is_labelled:
            trajectory = with_reward(trajectory, play.question, play.mode)
            if trajectory.stop_reason is not StopReason.ERROR:
                self._tell("score", score_event(trajectory, play.question, play.inbox, play.mode, limits.match))
        if play.save is not None:
            play.save.parent.mkdir(parents=True, exist_ok=True)
            write_trajectories(play.save, [trajectory], append=True)
            self._tell("saved", {"path": str(play.save)})
