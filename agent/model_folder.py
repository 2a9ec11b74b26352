"""A model folder: weights and tokenizer as transformers loads them, and `agent.json`: how the model is used here.

Reads safetensors only, never pickle, and never runs code that comes with a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.chat_format import ChatFormat
from inbox_env.env import EnvLimits
from inbox_env.errors import CorruptError, ResourceError, UsageError

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
    enable_thinking: bool | None = None
    """The chat template's switch for thinking; None leaves it as the template has it."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to be sampled from or trained."""

    model: Any
    chat: ChatFormat
    card: AgentCard


def load_model(path: Path, device: str = "cpu") -> LoadedModel:
    """Return the model of a folder or of a run (its `model` folder); raises UsageError or CorruptError."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # models load within a second here; a bar would break our own lines
    folder = path / "model" if (path / "model").is_dir() else path
    if not (folder / "config.json").is_file():
        raise UsageError(48, "no model here", where=str(path), next_step="give a run folder or a transformers folder")
    card = _read_card(folder / AGENT_CARD)
    chat = ChatFormat.load(folder, card.enable_thinking)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged folder fails in many ways
        first_line = str(error).strip().partition("\n")[0][:120]
        raise CorruptError(
            48, f"cannot load the model ({first_line})", where=str(folder), next_step="fetch or train it again"
        ) from error
    if missing := sorted(info["missing_keys"]):
        what = f"the model lacks {len(missing)} weights, {missing[0]} first"
        raise CorruptError(47, what, where=str(folder), next_step="fetch or train it again")
    return LoadedModel(model.to(device), chat, card)


def save_model(folder: Path, loaded: LoadedModel) -> None:
    """Write the folder that `load_model` and `AutoModelForCausalLM.from_pretrained` read.

    Raises ResourceError when the disk refuses.
    """
    from safetensors import SafetensorError

    attention = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation("sdpa")
    try:
        loaded.model.save_pretrained(folder)
        loaded.chat.save(folder)
        (folder / AGENT_CARD).write_text(loaded.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        what, next_step = f"model not written: {error}", "free some space, then continue with --resume"
        raise ResourceError(48, what, where=str(folder), next_step=next_step) from error
    finally:
        loaded.model.set_attn_implementation(attention)


def _read_card(path: Path) -> AgentCard:
    if not path.is_file():
        return AgentCard()
    try:
        return AgentCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise CorruptError(49, "the agent card is damaged", where=str(path)) from error
