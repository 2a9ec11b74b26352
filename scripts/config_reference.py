"""Print the reference of configuration and metrics that stands in `scripts/configs/README.md`.

`make docs` writes it; a test keeps it equal to the code.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.grpo.config import known_keys
from agent.grpo.metrics import METRICS
from scripts.plan import section

INTRODUCTION = """# Configuration

Every key of a training configuration. One is written by hand in TOML, as the files beside this one; an unknown key or
a value of the wrong kind is refused by name. The resolved configuration is kept in the run folder.
Made from `agent/grpo/config.py` by `make docs`.

| key | meaning |
|---|---|
"""
METRICS_INTRODUCTION = """
## Metrics

One row for each optimiser step in `metrics.jsonl` of the run folder.

| name | meaning |
|---|---|
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    return INTRODUCTION + _rows(known_keys()) + METRICS_INTRODUCTION + _rows(METRICS.items()) + section()


def _rows(entries: Iterable[tuple[str, str]]) -> str:
    return "".join(f"| `{name}` | {' '.join(meaning.split())} |\n" for name, meaning in entries)


if __name__ == "__main__":
    print(reference(), end="")
