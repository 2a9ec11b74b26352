"""What an episode cost: tokens at litellm's prices for a model behind an API, seconds at a stated price otherwise.

Knows nothing of questions or answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agent.policies.api_client import load_litellm
from agent.policies.chat_models import ChatSpec
from scripts.benchmark_grades import Grade

TIMINGS = "timings.jsonl"


def add_timing(folder: Path, key: str, seconds: float, num_episodes: int) -> None:
    """Note how long it took to play so many episodes, all of them together."""
    with (folder / TIMINGS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "seconds": round(seconds, 4), "episodes": num_episodes}) + "\n")


def seconds_per_episode(folder: Path, keys: Sequence[str]) -> float | None:
    """Return the measured seconds of machine time an episode; None when no play was seen through."""
    path = folder / TIMINGS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [row for row in map(json.loads, filter(str.strip, lines)) if row["key"] in keys]
    num_episodes = sum(row["episodes"] for row in rows)
    return sum(row["seconds"] for row in rows) / num_episodes if num_episodes else None


def api_cost(chat: ChatSpec, grades: Sequence[Grade]) -> float | None:
    """Return dollars for 1,000 episodes at litellm's prices; None for a model that it has no price of."""
    if not grades:
        return None
    cost = token_cost(chat, sum(one.num_prompt_tokens for one in grades), sum(one.num_tokens for one in grades))
    return None if cost is None else 1000 * cost / len(grades)


def token_cost(chat: ChatSpec, num_prompt_tokens: int, num_tokens: int) -> float | None:
    """Return dollars for so many tokens read and written, at litellm's prices; None for a model without one."""
    if chat.kind == "openai":
        return None  # whose server it is, litellm cannot know
    try:
        prices = load_litellm().cost_per_token(
            chat.model, prompt_tokens=num_prompt_tokens, completion_tokens=num_tokens
        )
    except Exception:  # of no one class: a model without a price
        return None
    return float(sum(prices))


def machine_cost(seconds: float | None, price_per_hour: float | None) -> float | None:
    """Return dollars for 1,000 episodes of so many seconds each; None when a part is not known."""
    return None if seconds is None or price_per_hour is None else 1000 * seconds * price_per_hour / 3600
