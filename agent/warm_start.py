"""What the laptop model is trained on before any reward: drills, reading lessons and demonstrations, step by step.

Each step's traces follow from the seed and the step's number alone, so that a resumed run sees what an undisturbed
one would. Uses training inboxes only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.policies.demonstrator import CAREFUL, MEDIOCRE, PLAIN, demonstrator, oracle
from agent.policy import TokenTrace
from agent.prompts import system_prompt
from agent.rollout import Rollout, rollout
from agent.sft import demonstrate, fill, first_action, repeat_drill, trace_of
from inbox_env.questions import Question


class WarmStartMix(BaseModel):
    """How a warm-start step is made up."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    drill_steps: int = Field(default=200, ge=0)
    """First steps that are copy drills only."""
    plain_steps: int = Field(default=1000, ge=0)
    """Steps up to which the demonstrator makes no random choice."""
    drill_share: float = Field(default=0.03, ge=0, le=1)
    """Share of drills afterwards."""
    search_share: float = Field(default=0.3, ge=0, le=1)
    """Share of lessons that end with the first search: keywords without what follows."""
    reading_share: float = Field(default=0.2, ge=0, le=1)
    """Share of lessons that show the gold mail and ask for its answer: reading without the search."""
    choice_share: float = Field(default=0.15, ge=0, le=1)
    """Share of lessons that show hits with the gold mail among them and ask for it: choosing without the search."""
    context_weight: float = Field(default=0.2, ge=0)
    """Weight of a token that was read, beside 1 for one that was said."""
    step_tokens: int = Field(default=2048, ge=256)
    """Tokens of one step."""
    drill_length: int = Field(default=96, ge=16)
    """Tokens of one drill."""


class WarmStart:
    """Makes the traces of any step."""

    def __init__(
        self,
        chat: ChatFormat,
        vocab_size: int,
        arena: Arena,
        *,
        prompt: str,
        mix: WarmStartMix,
        seed: int,
    ) -> None:
        self._chat, self._vocab_size, self._prompt, self.mix, self._seed = chat, vocab_size, prompt, mix, seed
        self._arena, self._questions = arena, arena.questions
        self._oracle = oracle(arena.gold, self._number_of)

    def step(self, number: int, part: int = 0) -> list[TokenTrace]:
        """Return the traces of step `number` (from 1), or of that part of it which another process takes."""
        return fill(self._stream(Random(f"{self._seed}:{number}:{part}"), number), self.mix.step_tokens)

    def _stream(self, random: Random, number: int) -> Iterator[TokenTrace]:
        habits = PLAIN if number <= self.mix.plain_steps else MEDIOCRE
        policy = demonstrator(self._arena.gold, random.getrandbits(32), habits)
        mix = self.mix
        while True:
            draw = random.random()
            if number <= mix.drill_steps or draw < mix.drill_share:
                yield repeat_drill(random, self._vocab_size, 16, mix.drill_length)
            elif draw < mix.drill_share + mix.reading_share:
                yield asyncio.run(self._read(random))
            elif draw < mix.drill_share + mix.reading_share + mix.choice_share:
                yield asyncio.run(self._choose(random))
            else:
                env = self._arena.env(random.choice(self._questions))
                trace = asyncio.run(demonstrate(policy, env, self._chat, self._prompt))
                is_search = draw < mix.drill_share + mix.reading_share + mix.choice_share + mix.search_share
                yield first_action(trace) if is_search else trace

    async def _read(self, random: Random) -> TokenTrace:
        return self._last_action(await rollout(self._oracle, self._arena.env(self._answerable(random))))

    async def _choose(self, random: Random) -> TokenTrace:
        policy = demonstrator(self._arena.gold, random.getrandbits(32), CAREFUL)
        while True:
            played = await rollout(policy, self._arena.env(self._answerable(random)))
            turns = played.trajectory.turns
            opened = next((number for number, turn in enumerate(turns, 1) if turn.results[0].opened), None)
            if opened:
                return self._last_action(played, opened)

    def _answerable(self, random: Random) -> Question:
        question = random.choice(self._questions)
        while not question.answerable:
            question = random.choice(self._questions)
        return question

    def _last_action(self, played: Rollout, num_turns: int | None = None) -> TokenTrace:
        """Return the first turns of an episode as a trace of which only the last action is to be learnt."""
        trajectory = played.trajectory
        opening = self._arena.env(self._arena.gold[trajectory.question_id]).opening()
        start = self._chat.prompt_ids(system_prompt(self._prompt, opening), opening.question)
        cut = trajectory.model_copy(update={"turns": trajectory.turns[:num_turns]})
        return trace_of(cut, start, self._chat, last_only=True)

    def _number_of(self, question: Question, message_id: str) -> int | str:
        mail = self._arena.inbox(question.inbox).read(message_id, as_of=None)
        return message_id if mail is None else mail.number
