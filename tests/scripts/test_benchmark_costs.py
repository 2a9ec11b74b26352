"""What an episode cost: prices of a provider, machine time at a stated price, and what nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.policies.chat_models import ChatSpec
from rewards.ladder import Outcome
from scripts.benchmark_costs import add_timing, api_cost, machine_cost, seconds_per_episode
from scripts.benchmark_grades import Grade
from scripts.benchmark_summary import dollars


def grade(num_prompt_tokens: int, num_tokens: int) -> Grade:
    return Grade(policy="p", seed=0, question="q", inbox="i", kind="single", outcome=Outcome.RIGHT, error=None,
                 is_right=True, num_turns=1, num_invalid_calls=0, num_prompt_tokens=num_prompt_tokens,
                 num_tokens=num_tokens, seconds=1.0, file="p.jsonl", line=1)  # fmt: skip


def test_a_known_model_costs_what_its_tokens_cost() -> None:
    chat = ChatSpec("api", "tools", "openai/gpt-4o-mini")
    one, both = api_cost(chat, [grade(1000, 0)]), api_cost(chat, [grade(1000, 0), grade(1000, 500)])
    assert one == pytest.approx(1000 * 1000 * 0.15e-6)  # $0.15 for a million tokens read
    assert both == pytest.approx(one + 1000 * 250 * 0.60e-6)  # $0.60 for a million written, half of the episodes


def test_what_has_no_price_has_no_cost() -> None:
    assert api_cost(ChatSpec("api", "tools", "openai/no-such-model"), [grade(10, 10)]) is None
    assert api_cost(ChatSpec("openai", "tools", "http://127.0.0.1/v1#gpt-4o-mini"), [grade(10, 10)]) is None
    assert machine_cost(None, 1.0) is None
    assert machine_cost(1.0, None) is None
    assert dollars(None) == "-"


def test_machine_time_is_shared_by_the_episodes_that_ran_together(tmp_path: Path) -> None:
    assert seconds_per_episode(tmp_path, ["a"]) is None
    add_timing(tmp_path, "a", 20.0, 10)
    add_timing(tmp_path, "a seed=1", 40.0, 10)
    add_timing(tmp_path, "b", 1000.0, 10)
    seconds = seconds_per_episode(tmp_path, ["a", "a seed=1"])
    assert seconds == 3.0
    assert machine_cost(seconds, 1.2) == pytest.approx(1.0)
