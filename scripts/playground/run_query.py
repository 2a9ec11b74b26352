"""Filtering the episodes of a source, and showing what is left as episodes, as groups or as steps.

Pure: rows in, what the list shows out. Knows nothing of files or HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, Field

from rewards.ladder import Outcome
from scripts.playground.run_index import Row

PAGE_SIZE = 60
RIGHT = (Outcome.RIGHT.value, Outcome.ABSTAINED.value)
FACETS = ("set", "kind", "outcome", "stop")
Values = tuple[str, str, str, str]  # of the facets, in their order
Level = Literal["episodes", "groups", "steps"]


class Filter(BaseModel):
    """What is left of the episodes: equal to all that is given; `q` are words of the question, `jump` a reward jump."""

    set: str = Field(default="", max_length=300)
    kind: str = Field(default="", max_length=40)
    outcome: str = Field(default="", max_length=40)
    stop: str = Field(default="", max_length=40)
    step: int | None = None
    jump: bool = False
    q: str = Field(default="", max_length=500)
    order: Literal["played", "best", "worst"] = "played"


class RowQuery(Filter):
    """One page of what a filter leaves, by level."""

    level: Level = "episodes"
    page: int = Field(default=1, ge=1, le=1_000_000)


def matching(rows: Sequence[Row], wanted: Filter, jumps: frozenset[int]) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """Return the rows that are left, and for each facet how many each of its values would leave."""
    words = wanted.q.casefold().split()
    chosen = [(place, value) for place, name in enumerate(FACETS) if (value := getattr(wanted, name))]
    left: list[Row] = []
    found: Counter[Values] = Counter()
    almost: Counter[tuple[int, str]] = Counter()  # what only one facet leaves out
    for row in rows:
        if wanted.step is not None and row.step != wanted.step:
            continue
        if wanted.jump and row.step not in jumps:
            continue
        if words and not all(word in row.words for word in words):
            continue
        values = row.set, row.kind, row.outcome, row.stop_reason
        failed = [place for place, value in chosen if values[place] != value]
        if not failed:
            left.append(row)
            found[values] += 1
        elif len(failed) == 1:
            almost[failed[0], values[failed[0]]] += 1
    return _ordered(left, wanted.order), _facets(found, almost)


def _facets(found: Counter[Values], almost: Counter[tuple[int, str]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
    for values, count in found.items():
        for name, value in zip(FACETS, values, strict=True):
            counts[name][value] += count
    for (place, value), count in almost.items():
        counts[FACETS[place]][value] += count
    return {name: dict(counter) for name, counter in counts.items()}


def _ordered(rows: list[Row], order: str) -> list[Row]:
    if order == "played":
        return rows
    sign = -1 if order == "best" else 1
    scored = [row for row in rows if row.reward is not None]
    scored.sort(key=lambda row: sign * (row.reward or 0.0))
    return scored + [row for row in rows if row.reward is None]


def episode_item(row: Row) -> dict[str, Any]:
    """Return what a list shows of an episode."""
    return {
        "file": row.file,
        "line": row.line,
        "set": row.set,
        "step": row.step,
        "group": row.group,
        "question_id": row.question_id,
        "question": row.question,
        "inbox": row.inbox,
        "policy": row.policy,
        "kind": row.kind,
        "outcome": row.outcome,
        "stop_reason": row.stop_reason,
        "reward": row.reward,
        "advantage": row.advantage,
        "num_turns": row.num_turns,
        "num_tokens": row.num_tokens,
    }


def group_items(left: Iterable[Row], rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the groups that have a row left, each with all of its rewards."""
    chosen = dict.fromkeys((row.file, row.group) for row in left if row.group is not None)
    members: dict[tuple[str, int | None], list[Row]] = {key: [] for key in chosen}
    for row in rows:
        if (row.file, row.group) in members:
            members[row.file, row.group].append(row)
    return [_group_item(group) for group in members.values()]


def step_items(left: Iterable[Row], jumps: frozenset[int]) -> list[dict[str, Any]]:
    """Return the steps that have a row left, with what those rows earned."""
    members: dict[int, list[Row]] = {}
    for row in left:
        if row.step is not None:
            members.setdefault(row.step, []).append(row)
    return [_step_item(step, rows, step in jumps) for step, rows in sorted(members.items())]


def _group_item(rows: list[Row]) -> dict[str, Any]:
    rewards = [row.reward for row in rows]
    scored = [reward for reward in rewards if reward is not None]
    return {
        **episode_item(rows[0]),
        "size": len(rows),
        "rewards": rewards,
        "num_right": sum(row.outcome in RIGHT for row in rows),
        "has_spread": bool(scored) and min(scored) != max(scored),
    }


def _step_item(step: int, rows: list[Row], is_jump: bool) -> dict[str, Any]:
    rewards = [row.reward for row in rows if row.reward is not None]
    return {
        "step": step,
        "num_episodes": len(rows),
        "num_groups": len({row.group for row in rows}),
        "reward_mean": fmean(rewards) if rewards else None,
        "num_right": sum(row.outcome in RIGHT for row in rows),
        "is_jump": is_jump,
    }
