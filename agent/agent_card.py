"""The agent card of a model folder, `agent.json`: with which prompt and limits a model wants to be asked.

Needs no torch. Knows nothing of weights.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inbox_env.env import EnvLimits
from inbox_env.errors import CorruptError

AGENT_CARD = "agent.json"


class AgentCard(BaseModel):
    """What a model was trained with, and therefore wants to be asked with."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    prompt: str = "default"
    """System prompt: a file of agent/prompts."""
    limits: EnvLimits = EnvLimits()
    """Limits of an episode and the look of tool results."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Tokens of one turn."""
    max_context: int = Field(default=16384, ge=1)
    """Tokens of one episode."""
    base_sha256: str = ""
    """Of an adapter: the hash of the model that it was trained on (`agent.base_identity`)."""
    enable_thinking: bool | None = None
    """The chat template's switch for thinking; None leaves it as the template has it."""


def read_card(folder: Path) -> AgentCard:
    """Return the folder's agent card, or a default one; raises CorruptError when it is damaged."""
    path = folder / AGENT_CARD
    if not path.is_file():
        return AgentCard()
    try:
        return AgentCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise CorruptError(49, "the agent card is damaged", where=str(path)) from error
