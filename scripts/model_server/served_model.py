"""The model that is served: loaded once, with what it wants to be asked with, under one name.

Knows nothing of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.agent_card import AgentCard
from agent.chat_format import ChatFormat
from agent.model_folder import load_model, model_folder_of
from agent.policies.chat_models import CARD_FIELD
from agent.sampling.torch_engine import TorchEngine


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model with its engine; `max_context` is the most tokens of a prompt and its answer.

    A tokenizer serves one thread at a time: `chat` is for the words of requests, `listening_chat`, which is the same,
    for the thread of the engine.
    """

    name: str
    created: int
    chat: ChatFormat
    listening_chat: ChatFormat
    engine: TorchEngine
    card: AgentCard
    max_context: int

    def row(self) -> dict[str, Any]:
        """Return the model as `/v1/models` lists it; with what an agent needs to be asked as it was trained."""
        card = self.card.model_dump(mode="json", include={"prompt", "limits", "max_new_tokens"})
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "mailsleuth",
            "max_model_len": self.max_context,
            CARD_FIELD: card,
        }


def open_model(path: Path, *, num_slots: int, device: str = "cpu") -> ServedModel:
    """Return the model of a run or folder, named after it; raises UsageError or CorruptError."""
    loaded = load_model(path, device)
    context = min(loaded.card.max_context, loaded.model.config.max_position_embeddings)
    engine = TorchEngine(
        loaded.model,
        stop_token_ids=set(loaded.chat.stop_token_ids),
        max_rows=num_slots,
        max_context=context,
        temperature=0.0,
    )
    listening_chat = ChatFormat.load(model_folder_of(path), loaded.card.enable_thinking)
    folder = path.resolve()
    name = folder.parent.name if folder.name == "model" else folder.name
    created = int(folder.stat().st_mtime)
    return ServedModel(name or "model", created, loaded.chat, listening_chat, engine, loaded.card, context)
