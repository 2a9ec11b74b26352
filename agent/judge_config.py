"""The sections [reward] and [judge] of a configuration: what an episode is worth, and who judges what no rule decides.

Knows nothing of how they are used.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent.grpo.section import Section
from rewards.ladder import LadderConfig


class RewardConfig(LadderConfig):
    """What an episode is worth."""

    kind: Literal["ladder", "ruler", "custom"] = "ladder"
    """ladder: by the right answer and the table of outcomes below. ruler: a judge ranks the rollouts of each question
    (needs judge.model, but no right answers). custom: `function` says."""
    function: str | None = None
    """custom: package.module:function or path/to/file.py:function, called as f(trajectory, question) -> Reward."""
    range: tuple[float, float] | None = None
    """custom: the least and the most that the function may return; what is outside is masked and counted."""

    @model_validator(mode="after")
    def _custom_is_whole(self) -> RewardConfig:
        if (self.kind == "custom") != (self.function is not None):
            raise ValueError('reward.kind = "custom" and reward.function go together')
        if self.range is not None and (self.kind != "custom" or self.range[0] > self.range[1]):
            raise ValueError("reward.range is [least, most], for a custom reward")
        return self


class JudgeConfig(Section):
    """A chat model that is asked whether an answer is right where the deterministic matcher cannot tell."""

    model: str | None = None
    """The judge as litellm names it, such as "openai/NAME" or "ollama_chat/NAME"; without one such answers are not
    right. Its key comes from the environment. Answers only, not in find mode."""
    api_base: str | None = None
    """Where the judge is, for a server of one's own; without it the environment says, as for policies."""
    max_calls: int | None = Field(default=None, ge=0)
    """Calls of the whole run after which it stops; raise it and resume."""
    max_cost: float | None = Field(default=None, ge=0)
    """Dollars of the whole run after which it stops; needs a model that litellm knows the price of."""
    concurrency: int = Field(default=8, ge=1)
    """Calls under way at once."""
    call_seconds: float = Field(default=60.0, gt=0)
    """Deadline of one try."""
    retry_seconds: float = Field(default=120.0, ge=0)
    """How long one question is tried again before its rollout counts as unscorable."""
    pause_seconds: float = Field(default=600.0, ge=0)
    """How long a run waits for a judge that has failed three times in a row, before it stops and can be resumed."""
    max_tokens: int = Field(default=2048, ge=16)
    """Most tokens of a reply, of which a model that reasons needs more; a reply that is cut is unscorable."""
    ruler_chars: int = Field(default=6000, ge=500)
    """Most characters of one rollout that are shown when rollouts are ranked."""

    @field_validator("api_base")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        if parts.username or parts.password or parts.query:
            raise ValueError("keys belong in the environment, not in judge.api_base")
        return url
