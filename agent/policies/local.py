"""A policy whose actions are sampled from a model in this process (or any sampling engine), token-in, token-out.

What was sampled is kept as it was sampled; observations are appended as ids. Knows nothing of rewards.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from agent.chat_format import ChatFormat
from agent.policy import TokenTrace, Usage
from agent.prompts import system_prompt
from agent.sampling.engine import SamplingEngine, Session
from inbox_env.actions import Action, Observation, Opening
from inbox_env.env import EnvLimits


class LocalActor:
    """One episode: a session of the engine and the tokens so far."""

    def __init__(self, session: Session, chat: ChatFormat, prompt_ids: list[int], max_new_tokens: int) -> None:
        self.trace: TokenTrace | None = TokenTrace()
        self.is_truncated = False
        self._trace = self.trace
        self._session, self._chat, self._max_new_tokens = session, chat, max_new_tokens
        self._prompt_ids = prompt_ids

    @property
    def usage(self) -> Usage:
        """Tokens appended and tokens sampled."""
        num_sampled = sum(self._trace.action_mask)
        return Usage(len(self._trace.action_mask) - num_sampled, num_sampled)

    async def act(self, observation: Observation | None) -> Action:
        """Append the prompt or the observation, sample a turn, and return what it says."""
        if observation is None:
            token_ids = self._prompt_ids
        else:
            token_ids = self._chat.observation_ids([result.content for result in observation.results])
        sample = await self._session.sample(token_ids, self._max_new_tokens)
        self._trace.extend(token_ids)
        self._trace.extend(sample.token_ids, sample.logprobs)
        self.is_truncated = not sample.is_stopped
        return self._chat.parse(sample.token_ids)

    def close(self) -> None:
        """Give the engine's row back."""
        self._session.close()


class LocalPolicy:
    """A model as a policy. The n-th episode of a question has a random stream of its own, made from `seed`."""

    def __init__(
        self,
        engine: SamplingEngine,
        chat: ChatFormat,
        *,
        prompt: str,
        name: str = "local",
        seed: int = 0,
        max_new_tokens: int = 64,
        limits: EnvLimits | None = None,
    ) -> None:
        self.name, self.chat, self.engine, self.limits = name, chat, engine, limits
        self.max_new_tokens = max_new_tokens
        self.prompt, self._seed = prompt, seed
        self._num_started: Counter[str] = Counter()

    def start(self, opening: Opening) -> LocalActor:
        """Return the actor of one episode."""
        return LocalActor(self.open(opening), self.chat, self.prompt_ids(opening), self.max_new_tokens)

    def open(self, opening: Opening) -> Session:
        """Return a new session of the engine with this episode's random stream."""
        number = self._num_started[opening.question_id]
        self._num_started[opening.question_id] += 1
        digest = sha256(f"{self._seed}:{opening.question_id}:{number}".encode()).digest()
        return self.engine.open(int.from_bytes(digest[:8], "big"))

    def prompt_ids(self, opening: Opening) -> list[int]:
        """Return the ids that an episode begins with."""
        return self.chat.prompt_ids(system_prompt(self.prompt, opening), opening.question)
