"""Puts the trained weights where sampling servers read them: an adapter alone, or the whole model, as safetensors.

Every version has a folder and a name of its own: a server's prefix cache knows adapters by name, so that a name used
twice would answer with the keys and values of the older weights. Knows nothing of servers.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.lora import is_adapted
from inbox_env.errors import ResourceError

KEPT_VERSIONS = 2


@dataclass(frozen=True, slots=True)
class Published:
    """One version of the weights: `name` is unique, `folder` holds them."""

    name: str
    folder: Path
    is_adapter: bool


class Publisher:
    """Writes `model`'s weights as they are into a new folder inside `folder`; older versions are removed."""

    def __init__(self, model: Any, folder: Path) -> None:
        self._model, self._folder = model, folder.resolve()
        self._token = secrets.token_hex(4)  # apart from other runs and from earlier sittings of this one
        self._published: list[Published] = []

    @property
    def is_adapter(self) -> bool:
        """Whether only an adapter is trained and published."""
        return is_adapted(self._model)

    def publish(self) -> Published:
        """Write the current weights; raises ResourceError when the disk refuses."""
        from safetensors import SafetensorError

        name = f"policy-{self._token}-{len(self._published):06d}"
        folder = self._folder / name
        partial = folder.with_name(name + ".partial")
        try:
            self._model.save_pretrained(partial, **({"save_embedding_layers": False} if self.is_adapter else {}))
            partial.rename(folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            next_step = "free some space, then continue with --resume"
            raise ResourceError(80, f"weights not written: {error}", where=str(folder), next_step=next_step) from error
        self._published.append(Published(name, folder, self.is_adapter))
        for old in self._published[:-KEPT_VERSIONS]:
            shutil.rmtree(old.folder, ignore_errors=True)
        return self._published[-1]

    def remove_all(self) -> None:
        """Remove every folder that was published."""
        for published in self._published:
            shutil.rmtree(published.folder, ignore_errors=True)
