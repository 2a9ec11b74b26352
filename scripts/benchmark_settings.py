"""What the episodes in a benchmark's folder were played with, so that others are never mixed in: `settings.json`.

Knows nothing of how episodes are played.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.terms import Terms
from inbox_env.errors import UsageError
from scripts.benchmark_contenders import Contender
from scripts.benchmark_terms import SETTING

SETTINGS = "settings.json"


def check_settings(
    out: Path, mailboxes: Sequence[str], tools: str, like: Terms | None, contenders: Sequence[Contender]
) -> None:
    """Note with what episodes are played here from now on; raises UsageError for other settings or other weights."""
    now: dict[str, Any] = {"mailbox": list(mailboxes), "tools": tools}
    now["like"] = None if like is None else like.model_dump(mode="json")
    now |= {f"weights of {one.spec}": weights for one in contenders if (weights := one.weights()) is not None}
    before = read_settings(out)
    if before:
        before = {"like": None} | before  # of a version that could not be told so
    changed = [name for name, value in now.items() if before.get(name, value) != value]
    if changed:
        what = f"the episodes here were played with another setting: {changed[0]}"
        raise UsageError(6, what, where=str(out), next_step="name another folder with --out")
    _write(out, before | now)


def note_terms(out: Path, spec: str, terms: Terms, *, is_first: bool) -> None:
    """Note what a policy is about to play under; raises UsageError when its episodes on file are of other terms."""
    settings, name = read_settings(out), f"{SETTING}{spec}"
    now = terms.model_dump(mode="json")
    if not is_first and settings.get(name, now) != now:
        what = f"{spec} played here with another prompt or other limits"
        raise UsageError(18, what, where=str(out), next_step="name another folder with --out")
    _write(out, settings | {name: now})


def read_settings(out: Path) -> dict[str, Any]:
    """Return the settings of a folder, none when it has none yet; raises UsageError when they are no settings."""
    path = out / SETTINGS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(7, "not a benchmark's folder", where=str(path), next_step="name another with --out") from error


def _write(out: Path, settings: Mapping[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{SETTINGS}.partial"
    partial.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    partial.replace(out / SETTINGS)
