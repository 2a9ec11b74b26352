"""Print the reference of the training configuration that stands in `scripts/configs/README.md`.

`make docs` writes it; a test keeps it equal to the code.
"""

from __future__ import annotations

from agent.grpo.config import known_keys
from scripts.plan import section

INTRODUCTION = """# Configuration

Every key of a training configuration. One is written by hand in TOML, as the files beside this one; an unknown key or
a value of the wrong kind is refused by name. The resolved configuration is kept in the run folder.
Made from `agent/grpo/config.py` by `make docs`.

| key | meaning |
|---|---|
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    table = "".join(f"| `{key}` | {' '.join(meaning.split())} |\n" for key, meaning in known_keys())
    return INTRODUCTION + table + section()


if __name__ == "__main__":
    print(reference(), end="")
