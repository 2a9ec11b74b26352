"""The words a policy is given before it acts: prompt files in `prompts/`, filled from an `Opening`.

Every policy of one evaluation gets the same prompt. Knows nothing of tokens or templates.
"""

from __future__ import annotations

from importlib.resources import files

from inbox_env.actions import Opening
from inbox_env.errors import UsageError


def system_prompt(name: str, opening: Opening) -> str:
    """Return the system prompt `name` (a file prompts/<name>.txt) for this opening."""
    file = files("agent") / "prompts" / f"{name}.txt"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".txt") for entry in (files("agent") / "prompts").iterdir())
        raise UsageError(45, f"no prompt named {name!r}", where="agent/prompts", next_step=f"one of {', '.join(known)}")
    today = "unknown" if opening.asked_on is None else opening.asked_on.isoformat()
    return (
        file.read_text(encoding="utf-8")
        .strip()
        .format(owner=opening.owner, owner_name=opening.owner.partition(" <")[0], today=today)
    )
