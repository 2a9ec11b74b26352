"""Terms of a comparison: the prompt and the limits of every policy in it, and what to say where they are not equal.

A trained agent plays under its own card; `--like FOLDER` gives every other policy the card of that agent. Keywords that
match any mail are what a heuristic is, and no term. Knows nothing of how episodes are played.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.agent_card import AGENT_CARD, read_card
from agent.policy import Policy
from agent.terms import Terms
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError

SETTING = "terms of "  # what is noted of a policy in settings.json, before its spec
HEAD = ("played under", "prompt", "turns", "invalid calls", "hits a page", "snippet", "page of a mail", "addresses",
        "keywords that match")  # fmt: skip


def read_like(folder: Path) -> Terms:
    """Return the terms of an agent: a run, or a model's folder; raises UsageError when it has no card."""
    place = folder / "model" if (folder / "model").is_dir() else folder
    if not (place / AGENT_CARD).is_file():
        next_step = "name a run, or the folder of a model that was trained here"
        raise UsageError(16, f"no {AGENT_CARD} here", where=str(folder), next_step=next_step)
    card = read_card(place)
    return Terms(prompt=card.prompt, limits=card.limits)


def terms_of(policy: Policy, limits: EnvLimits) -> Terms:
    """Return what a policy plays under where the arena has `limits`."""
    return Terms(prompt=getattr(policy, "prompt", None), limits=policy.limits or limits)


def noted_terms(settings: Mapping[str, Any], spec: str) -> Terms | None:
    """Return the terms that were noted of a policy; None when its episodes are of a version that noted none."""
    try:
        return Terms.model_validate(settings[SETTING + spec])
    except (KeyError, ValidationError):
        return None


def warnings(terms: Mapping[str, Terms | None]) -> list[str]:
    """Return one line that says which terms differ between the policies, or none."""
    values: dict[str, dict[str, None]] = {}
    for one in terms.values():
        for name, value in _flat(one) if one else ():
            values.setdefault(name, {})[value] = None
    differing = [f"{name} ({', '.join(seen)})" for name, seen in values.items() if len(seen) > 1]
    if not differing:
        return []
    next_step = "--like FOLDER gives all but trained agents those of the agent in it"
    return [f"warning: the policies did not play under equal terms: {', '.join(differing)}; {next_step}"]


def cells(name: str, terms: Terms | None) -> tuple[str, ...]:
    """Return the row of one policy below `HEAD`."""
    if terms is None:
        return (name, *["not noted"] * (len(HEAD) - 1))
    limits, style = terms.limits, terms.limits.style
    snippet = f"{style.snippet_chars:,}" if style.snippet_chars else "none"
    page = f"{style.page_chars:,}" + (f" of {style.result_chars:,}" if style.result_chars else "")
    shown = ("yes" if style.show_addresses else "no", limits.match)
    counts = (limits.max_turns, limits.max_invalid_calls, style.hits_per_page)
    return (name, terms.prompt or "none", *map(str, counts), snippet, page, *shown)


def _flat(terms: Terms) -> Iterator[tuple[str, str]]:
    """Yield what is compared, by name; who reads no prompt has none that could differ."""
    if terms.prompt is not None:
        yield "prompt", terms.prompt
    for name, value in terms.limits.model_dump(exclude={"style", "match"}).items():
        yield name, str(value)
    for name, value in terms.limits.style.model_dump().items():
        yield name, str(value)
