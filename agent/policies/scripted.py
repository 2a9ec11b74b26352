"""Scripted policies: a script is a generator that yields actions and is sent observations.

A script yields None when it has opened what it wanted and leaves the answer to a reader: the perfect one here, or
a model's (`agent.policies.model_reader`). Privileged scripts and readers are given the gold answers at construction.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from random import Random
from typing import Any

from agent.policy import TokenTrace, Usage
from inbox_env.actions import Action, Observation, Opening, ToolCall
from inbox_env.env import EnvLimits
from inbox_env.questions import Question

Script = Generator[Action | None, Observation, None]
SubScript = Generator[Action | None, Observation, bool]
MakeScript = Callable[[Opening, Random], Script]
Gold = Mapping[str, Question]
Played = Sequence[tuple[Action, Observation]]
Reader = Callable[[Opening, Played], Awaitable[Action]]

_HIT = re.compile(r"^(\d+) ", re.MULTILINE)


def search(*keywords: str) -> Action:
    """Return the action of one keyword search."""
    return Action((ToolCall("search_emails", {"keywords": list(keywords)}),))


def read(ref: int | str) -> Action:
    """Return the action of opening a mail by its short id or Message-ID."""
    return Action((ToolCall("read_email", {"id": ref}),))


def answer(text: str | None, sources: Sequence[int | str] = ()) -> Action:
    """Return the action that ends the episode; `text` None means "I don't know"."""
    arguments: dict[str, Any] = {"answer": text, "sources": list(sources)}
    return Action((ToolCall("return_final_answer", arguments),))


def hit_numbers(observation: Observation) -> list[int]:
    """Return the short ids listed by a search, best first; none when nothing was found."""
    result = observation.results[0]
    return [int(number) for number in _HIT.findall(result.content.partition("\n")[2])] if result.listed else []


class ScriptedActor:
    """Runs one script; when the script leaves the answer to it, `reader` is given what was played."""

    def __init__(self, opening: Opening, script: Script, reader: Reader) -> None:
        self.trace: TokenTrace | None = None
        self.is_truncated = False
        self._opening, self._script, self._reader = opening, script, reader
        self._played: list[tuple[Action, Observation]] = []
        self._last: Action | None = None

    @property
    def usage(self) -> Usage:
        """A script costs nothing."""
        return Usage()

    async def act(self, observation: Observation | None) -> Action:
        """Return what the script does next."""
        if observation is None or self._last is None:
            action = next(self._script)
        else:
            self._played.append((self._last, observation))
            action = self._script.send(observation)
        self._last = action or await self._reader(self._opening, self._played)
        return self._last

    def close(self) -> None:
        """End the script."""
        self._script.close()


class ScriptedPolicy:
    """A script and a reader under a name, with the reader's prompt; every episode has its own random stream."""

    def __init__(
        self,
        name: str,
        make_script: MakeScript,
        reader: Reader,
        seed: int = 0,
        limits: EnvLimits | None = None,
        prompt: str | None = None,
    ) -> None:
        self.name, self.limits, self.prompt = name, limits, prompt
        self._make_script, self._reader, self._seed = make_script, reader, seed

    def start(self, opening: Opening) -> ScriptedActor:
        """Return the actor of one episode."""
        random = Random(f"{self._seed}:{self.name}:{opening.question_id}")
        return ScriptedActor(opening, self._make_script(opening, random), self._reader)


def perfect_reader(gold: Gold) -> Reader:
    """Return a reader that is right if and only if a gold mail was opened (for a multi question: all of them)."""

    async def read_out(opening: Opening, played: Played) -> Action:
        question = gold[opening.question_id]
        results = [result for _, observation in played for result in observation.results]
        opened = {message_id for result in results for message_id in result.opened}
        ids = set(question.message_ids)
        is_found = bool(ids) and (ids <= opened if question.kind == "multi" else not ids.isdisjoint(opened))
        return answer(question.answer if is_found else "not in the mail I opened", opened_refs(played))

    return read_out


def opened_refs(played: Played) -> list[int | str]:
    """Return the ids under which mails were opened, in order."""
    return [
        call.arguments["id"]
        for action, observation in played
        for call, result in zip(action.calls, observation.results, strict=False)
        if result.opened and isinstance(call, ToolCall)
    ]
