"""Routes to ask: by a policy or by hand, each answered by a stream of events.

Knows nothing of how an episode is played (`episodes.py`) or shown.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.policies.chat_models import sends_to
from inbox_env.env import EnvLimits
from inbox_env.questions import Question
from inbox_env.tools import tool_schemas
from rewards.ladder import Mode
from scripts.playground.bodies import read_body
from scripts.playground.episodes import Episodes, Play
from scripts.playground.event_stream import Events, EventStream
from scripts.playground.hand import HandPolicy
from scripts.playground.library import Library, inbox_row, question_row
from scripts.playground.policy_shelf import HAND, PolicyShelf, check_consent
from scripts.unlabelled import MAX_CHARS, unlabelled

MAX_EPISODES = 256


class Asked(BaseModel):
    """A question and how it is to be played; a labelled one is named by `question_id` and keeps its own day."""

    model_config = ConfigDict(extra="forbid")

    inbox: str = Field(max_length=200)
    question: str = Field(default="", max_length=MAX_CHARS)
    question_id: str | None = Field(default=None, max_length=500)
    as_of: date | None = None
    policy: str = Field(max_length=500)
    is_sending_agreed: bool = False
    mode: Mode = "answer"
    max_turns: int | None = Field(default=None, ge=1, le=100)
    deadline_seconds: float = Field(default=120.0, gt=0, le=3600)


class HandCall(BaseModel):
    """A call in an episode that is played by hand."""

    model_config = ConfigDict(extra="forbid")

    episode: str = Field(max_length=64)
    name: str = Field(max_length=64)
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AskSettings:
    """What the command line chose: where episodes are saved (`save` all, `save_hand` those by hand), what is judged."""

    save: Path | None
    save_hand: Path
    mode: Mode = "answer"
    as_of: date | None = None
    deadline_seconds: float = 120.0


class AskRoutes:
    """The routes and the episodes that are being played by hand."""

    def __init__(self, library: Library, shelf: PolicyShelf, episodes: Episodes, settings: AskSettings) -> None:
        self._library, self._shelf, self._episodes, self._settings = library, shelf, episodes, settings
        self._by_hand: dict[str, HandPolicy] = {}
        self._num_open = 0

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/ask/start", self._start),
            Route("/api/ask/questions", self._questions),
            Route("/api/ask/destination", self._destination),
            Route("/api/ask/play", self._ask, methods=["POST"]),
            Route("/api/ask/call", self._call, methods=["POST"]),
        ]

    async def _start(self, _: Request) -> Response:
        """Answer with all that can be chosen."""
        infos = self._library.infos()
        settings = self._settings
        return JSONResponse(
            {
                "inboxes": [inbox_row(info, len(self._library.questions(info.name))) for info in infos],
                "policies": self._shelf.choices(),
                "tools": tool_schemas(),
                "mode": settings.mode,
                "as_of": settings.as_of and settings.as_of.isoformat(),
                "deadline_seconds": settings.deadline_seconds,
                "max_turns": EnvLimits().max_turns,
                "save_hand": str(settings.save_hand),
            }
        )

    async def _questions(self, request: Request) -> Response:
        found = self._library.questions(request.query_params.get("inbox", ""))
        return JSONResponse({"questions": [question_row(question) for question in found]})

    async def _destination(self, request: Request) -> Response:
        """Answer where the policy that is being typed would send mail; empty is this machine."""
        return JSONResponse({"sends_to": sends_to(request.query_params.get("policy", ""))})

    async def _ask(self, request: Request) -> Response:
        asked = await read_body(request, Asked)
        if self._num_open >= MAX_EPISODES:
            raise HTTPException(503, "too many episodes at once: wait for one to end")
        question, is_labelled = self._question(asked)
        inbox = self._library.inbox(question.inbox)
        hand = HandPolicy() if asked.policy == HAND else None
        if hand is None:
            check_consent(asked.policy, is_agreed=asked.is_sending_agreed)
        play = Play(
            question=question,
            inbox=inbox,
            policy=hand or asked.policy,
            is_labelled=is_labelled,
            mode=asked.mode,
            max_turns=asked.max_turns,
            deadline_seconds=None if hand else asked.deadline_seconds,
            save=self._settings.save or (self._settings.save_hand if hand else None),
        )
        return EventStream(self._counted(play, hand))

    async def _call(self, request: Request) -> Response:
        call = await read_body(request, HandCall)
        policy = self._by_hand.get(call.episode)
        if policy is None:
            raise HTTPException(404, "this episode is over")
        self._episodes.call(policy, call.name, call.arguments)
        return JSONResponse({"taken": True}, 202)

    def _question(self, asked: Asked) -> tuple[Question, bool]:
        if asked.question_id is not None:
            question = self._library.question(asked.question_id)
            if question.inbox != asked.inbox:
                raise HTTPException(400, f"question {question.id} is about another inbox")
            return question, True
        text = " ".join(asked.question.split())
        if not text:
            raise HTTPException(400, "question: nothing is asked")
        today = asked.as_of or self._library.last_day(self._library.inbox(asked.inbox).name)
        return unlabelled(f"asked-{secrets.token_hex(4)}", text, asked.inbox, today), False

    async def _counted(self, play: Play, hand: HandPolicy | None) -> Events:
        """Yield the episode's events, known by a name of its own while it is open."""
        name = secrets.token_urlsafe(16)
        self._num_open += 1
        if hand is not None:
            self._by_hand[name] = hand
        try:
            events = self._episodes.events(play, episode=name, is_by_hand=hand is not None)
            async for event in events:
                yield event
        finally:
            self._num_open -= 1
            self._by_hand.pop(name, None)
            await events.aclose()
