"""The words a policy is given before it acts: prompt files in `prompts/`, filled from an `Opening`.

Every policy of one evaluation gets the same prompt. Knows nothing of tokens or templates.
"""

from __future__ import annotations

import json
from importlib.resources import files

from inbox_env.actions import Opening
from inbox_env.errors import UsageError
from inbox_env.tools import tool_schemas

_TOOLS = "tools"


def system_prompt(name: str, opening: Opening) -> str:
    """Return the system prompt `name` (a file prompts/<name>.txt) for this opening."""
    known = sorted(entry.name.removesuffix(".txt") for entry in (files("agent") / "prompts").iterdir())
    known.remove(_TOOLS)
    if name not in known:
        raise UsageError(45, f"no prompt named {name!r}", where="agent/prompts", next_step=f"one of {', '.join(known)}")
    today = "unknown" if opening.asked_on is None else opening.asked_on.isoformat()
    return _read(name).format(owner=opening.owner, owner_name=opening.owner.partition(" <")[0], today=today)


def tools_prompt(example: str) -> str:
    """Return the description of the tools for a model whose template shows none; `example` is how it calls them."""
    schemas = "\n".join(json.dumps(schema, ensure_ascii=False) for schema in tool_schemas())
    return _read(_TOOLS).format(schemas=schemas, example=example)


def _read(name: str) -> str:
    return (files("agent") / "prompts" / f"{name}.txt").read_text(encoding="utf-8").strip()
