"""What the laptop model is trained on before any reward: drills, reading lessons and demonstrations, step by step.

Each step's traces follow from the seed and the step's number alone, so that a resumed run sees what an undisturbed
one would. Uses training inboxes only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.policies.demonstrator import MEDIOCRE, PLAIN, demonstrator, oracle
from agent.policies.question_words import proper_names
from agent.policies.recall import recall
from agent.policies.scripted import Script, ScriptedPolicy, answer, perfect_reader, read
from agent.policy import TokenTrace
from agent.prompts import system_prompt
from agent.renaming import Renaming
from agent.rollout import rollout
from agent.sft import demonstrate, fill, first_action, repeat_drill, trace_of
from inbox_env.errors import UsageError
from inbox_env.questions import Question
from inbox_env.rendering import num_hits_shown
from inbox_env.search.base import SearchHit, SearchQuery

MAX_PASSED_OVER = 1000  # of one step


class WarmStartMix(BaseModel):
    """How a warm-start step is made up."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    demonstrator: Literal["names", "recall"] = "names"
    """Who is imitated: one that searches names, or one that searches what a known-item question says of its mail."""
    drill_steps: int = Field(default=200, ge=0)
    """First steps that are copy drills only."""
    plain_steps: int = Field(default=9200, ge=0)
    """Steps up to which the demonstrator makes no random choice."""
    drill_share: float = Field(default=0.03, ge=0, le=1)
    """Share of drills afterwards."""
    search_share: float = Field(default=0.15, ge=0, le=1)
    """Share of lessons that end with the first search: keywords without what follows."""
    reading_share: float = Field(default=0.25, ge=0, le=1)
    """Share of lessons that show one mail, the gold one or one like it: reading without the search."""
    context_weight: float = Field(default=0.2, ge=0)
    """Weight of a token that was read, beside 1 for one that was said, up to `context_steps`."""
    context_steps: int = Field(default=700, ge=0)
    """Steps after which copying is learnt, and what else can be read is mostly chance."""
    late_context_weight: float = Field(default=0.02, ge=0)
    """The same afterwards."""
    step_tokens: int = Field(default=2048, ge=256)
    """Tokens of one step."""
    drill_length: int = Field(default=96, ge=16)
    """Tokens of one drill."""


class WarmStart:
    """Makes the traces of any step; `renaming` gives each of them other names.

    Lessons of more than `max_tokens` are passed over: no episode of a model with that context is so long.
    """

    def __init__(
        self,
        chat: ChatFormat,
        vocab_size: int,
        arena: Arena,
        *,
        prompt: str,
        mix: WarmStartMix,
        seed: int,
        renaming: Renaming | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._chat, self._vocab_size, self._prompt, self.mix, self._seed = chat, vocab_size, prompt, mix, seed
        self._arena, self._questions = arena, arena.questions
        self._oracle = oracle(arena.gold, self._number_of)
        self._renaming = renaming
        self._max_tokens = max_tokens

    def context_weight(self, number: int) -> float:
        """Return the weight of what was read at step `number`."""
        return self.mix.context_weight if number <= self.mix.context_steps else self.mix.late_context_weight

    def step(self, number: int, part: int = 0) -> list[TokenTrace]:
        """Return the traces of step `number` (from 1), or of that part of it which another process takes."""
        return fill(self._stream(Random(f"{self._seed}:{number}:{part}"), number), self.mix.step_tokens)

    def _stream(self, random: Random, number: int) -> Iterator[TokenTrace]:
        num_passed_over = 0
        for trace in self._lessons(random, number):
            if self._max_tokens is not None and len(trace.token_ids) > self._max_tokens:
                num_passed_over += 1
                if num_passed_over > MAX_PASSED_OVER:
                    raise _nothing_fits(self._max_tokens)
                continue
            yield self._renaming.rename(trace, random) if self._renaming else trace

    def _lessons(self, random: Random, number: int) -> Iterator[TokenTrace]:
        policy = self._demonstrator(number, random.getrandbits(32))
        mix = self.mix
        while True:
            draw = random.random()
            if number <= mix.drill_steps or (draw := draw - mix.drill_share) < 0:
                yield repeat_drill(random, self._vocab_size, 16, mix.drill_length)
            elif (draw := draw - mix.reading_share) < 0:
                yield asyncio.run(self._read(random))
            else:
                env = self._arena.env(random.choice(self._questions))
                trace = asyncio.run(demonstrate(policy, env, self._chat, self._prompt))
                yield first_action(trace) if draw < mix.search_share else trace

    def _demonstrator(self, number: int, seed: int) -> ScriptedPolicy:
        if self.mix.demonstrator == "recall":
            return recall(self._arena.gold, self._is_listed, seed)
        return demonstrator(self._arena.gold, seed, PLAIN if number <= self.mix.plain_steps else MEDIOCRE)

    def _is_listed(self, question: Question, keywords: tuple[str, ...]) -> bool:
        hits = self._hits(question, keywords, num_hits_shown(self._arena.limits.style))
        return not {hit.message_id for hit in hits}.isdisjoint(question.message_ids)

    def _hits(self, question: Question, keywords: tuple[str, ...], limit: int) -> Sequence[SearchHit]:
        inbox = self._arena.inbox(question.inbox)
        return inbox.search(SearchQuery(keywords), as_of=question.as_of, limit=limit, snippet_chars=0).hits

    async def _read(self, random: Random) -> TokenTrace:
        """Return a lesson that opens the gold mail and answers, or one like it and says that it does not know."""
        question = random.choice(self._questions)
        while not question.answerable or not proper_names(question.question):
            question = random.choice(self._questions)
        policy = self._oracle if random.random() < 0.5 else self._wrong_mail(question, random)
        env = self._arena.env(question)
        opening = env.opening()
        played = await rollout(policy, env)
        start = self._chat.prompt_ids(system_prompt(self._prompt, opening), opening.question)
        return trace_of(played.trajectory, start, self._chat, last_only=True)

    def _wrong_mail(self, question: Question, random: Random) -> ScriptedPolicy:
        """Return the policy that opens another mail about the question's names and gives up.

        About two of them half of the time: what is wrong with such a mail is what it says, not whom it names.
        """
        names = list(dict.fromkeys(name.split()[-1] for name in proper_names(question.question)))
        pair = tuple(random.sample(names, min(2, len(names))))
        others = self._wrong_numbers(question, pair) if random.random() < 0.5 else []
        others = others or self._wrong_numbers(question, pair[:1])

        def script(*_: object) -> Script:
            if others:
                yield read(random.choice(others))
            yield answer(None)

        return ScriptedPolicy("wrong mail", script, perfect_reader({}))

    def _wrong_numbers(self, question: Question, keywords: tuple[str, ...]) -> list[int]:
        hits = self._hits(question, keywords, 50)
        return [hit.number for hit in hits if hit.message_id not in question.message_ids]

    def _number_of(self, question: Question, message_id: str) -> int | str:
        mail = self._arena.inbox(question.inbox).read(message_id, as_of=None)
        return message_id if mail is None else mail.number


def _nothing_fits(max_tokens: int) -> UsageError:
    what = f"hardly any demonstration fits into {max_tokens} tokens"
    return UsageError(68, what, next_step="raise sampling.max_context or lower env.page_chars")
