"""The identity of what a run is started with: hashes of its model and of its data, which paths alone do not give.

Knows nothing of where they are kept (`agent.run_folder`).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import file_digest, sha256
from pathlib import Path

from agent.arena import Arena
from agent.base_identity import folder_sha256
from agent.grpo.config import DataConfig
from agent.model_folder import model_folder_of


def run_identity(model: Path, data: DataConfig, arenas: Iterable[Arena]) -> dict[str, str]:
    """Return the hashes of the model's files, and of the questions with the mailbox that they are about."""
    return {"model": folder_sha256(model_folder_of(model)), "data": _data_sha256(data, arenas)}


def _data_sha256(data: DataConfig, arenas: Iterable[Arena]) -> str:
    digest = sha256()
    for arena in arenas:
        for question in arena.questions:
            digest.update(question.model_dump_json().encode())
    if data.mailbox is not None:
        with data.mailbox.path.open("rb") as file:
            digest.update(file_digest(file, "sha256").digest())
    return digest.hexdigest()
