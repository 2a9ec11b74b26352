"""A trained model made ready to leave its run: the adapter or the merged model, with its card and nothing else.

What may leave is a list of file names; trajectories, questions and mailboxes are not on it. Knows nothing of the hub
but how to hand a folder over.
"""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.base_identity import resolve_base
from agent.grpo.config import TrainConfig
from agent.lora import ADAPTER_CONFIG, is_adapted, merge_adapter, read_adapter_config
from agent.model_card import CardFacts, model_card
from agent.model_folder import LoadedModel, load_model, model_folder_of, save_model
from inbox_env.errors import UpstreamError, UsageError

CARD = "README.md"
MAY_LEAVE = (
    "*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "agent.json",
    ADAPTER_CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    CARD,
)


def export_model(run: Path, out: Path, *, is_merged: bool) -> None:
    """Write the model of a run (or of a model folder) to `out`, which must be new or empty.

    Merged: one model that transformers loads by itself. Raises UsageError when `out` holds something.
    """
    folder = model_folder_of(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(90, "the folder is not empty", where=str(out), next_step="give --out a new folder")
    is_adapter = (folder / ADAPTER_CONFIG).is_file()
    out.mkdir(parents=True, exist_ok=True)
    if is_merged and is_adapter:
        loaded = load_model(run)
        save_model(out, LoadedModel(merge_adapter(loaded.model), loaded.chat, _without_base(loaded)))
    else:
        for path in sorted(folder.iterdir()):
            if may_leave(path):
                shutil.copyfile(path, out / path.name)
        if is_adapter:
            _name_base(folder, out)
    _write_card(run, folder, out)


def write_model_card(folder: Path, facts: CardFacts) -> None:
    """Write the card into a model folder."""
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")


def may_leave(path: Path) -> bool:
    """Return whether a file is one that a published model consists of."""
    return path.is_file() and not path.is_symlink() and any(fnmatch(path.name, name) for name in MAY_LEAVE)


def files_to_push(folder: Path) -> list[Path]:
    """Return the files that would leave; raises UsageError when the folder holds anything else."""
    paths = sorted(folder.rglob("*"))
    for path in paths:
        if not may_leave(path) or path.parent != folder:
            what, next_step = f"{path.name} is no part of a model", "export into a folder of its own"
            raise UsageError(91, what, where=str(folder), next_step=next_step)
    return paths


def is_own_mail(run: Path) -> bool:
    """Return whether a model may know private mail: unless the run says synthetic or public, it may.

    A run that began from another run's model knows that one's mail as well.
    """
    seen: set[Path] = set()
    while (run / "config.json").is_file() and run.resolve() not in seen:
        seen.add(run.resolve())
        config = _read_run_config(run)
        if config is None:
            return False if len(seen) > 1 else _is_unknown(run)
        if config.data.mailbox is not None and not config.data.mailbox.is_public:
            return True
        run = config.model.path
    return not seen


def push(folder: Path, name: str, *, api: Any = None) -> str:
    """Upload an exported folder as the private model `name` of the hub; returns its address.

    Raises UpstreamError when the hub refuses or cannot be reached.
    """
    files = files_to_push(folder)
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    try:
        url = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=[path.name for path in files])
    except Exception as error:  # network, name and access fail in many ways; the text may hold a token
        what, next_step = f"the hub refused ({type(error).__name__})", "check the name and `hf auth login`"
        raise UpstreamError(90, what, where=name, next_step=next_step) from error
    return str(url)


def _is_unknown(folder: Path) -> bool:
    """A plain model folder: only one that was shipped with a card about invented mail is known to be harmless."""
    return "invented mail" not in (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else True


def _read_run_config(run: Path) -> TrainConfig | None:
    """Return the configuration of a run; None for another folder with a file of that name."""
    try:
        return TrainConfig.model_validate_json((run / "config.json").read_bytes())
    except ValidationError:
        return None


def _without_base(loaded: LoadedModel) -> Any:
    return loaded.card.model_copy(update={"base_sha256": ""}) if is_adapted(loaded.model) else loaded.card


def _name_base(folder: Path, out: Path) -> None:
    """Name a base that is a folder by its last part: the path to it is nobody's business, and true here only."""
    base = read_adapter_config(folder)["base"]
    if (folder / base).is_dir() or Path(base).is_dir():
        content = json.loads((out / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        content["base_model_name_or_path"] = resolve_base(base, folder).resolve().name
        (out / ADAPTER_CONFIG).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_card(run: Path, folder: Path, out: Path) -> None:
    config = _read_run_config(run) if (run / "config.json").is_file() else None
    if config is None:
        if (folder / CARD).is_file() and not (out / CARD).exists():
            shutil.copyfile(folder / CARD, out / CARD)
        return
    summary = run / "summary.json"
    reports = json.loads(summary.read_text(encoding="utf-8"))["policies"] if summary.is_file() else []
    is_adapter = (out / ADAPTER_CONFIG).is_file()
    write_model_card(out, CardFacts(config, tuple(reports), is_adapter, is_own_mail(run)))
