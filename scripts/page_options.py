"""Options of every command that serves a page: where it listens, and who may connect.

Apart from the server itself, so that `--help` needs none of its libraries.
"""

from __future__ import annotations

import argparse

from agent.policies.chat_models import TOKEN_VARIABLE
from scripts.argument_types import port

__all__ = ["DEFAULT_PORT", "TOKEN_VARIABLE", "add_page_arguments"]

DEFAULT_PORT = 7341


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the page is served."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help=f"port, or the next that is free (default {DEFAULT_PORT})"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.add_argument(
        "--unsafe-allow-network",
        action="store_true",
        help=f"let other machines connect, who know the token in {TOKEN_VARIABLE}",
    )
