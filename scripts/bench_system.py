"""Measure the speed of one part of the system.

Each part compares itself with a plain reference in one run; `mailsleuth bench-system PART --help` has its options.
"""

from __future__ import annotations

import argparse
import importlib

from scripts.cli import command_parser

PARTS = {
    "import": "scripts.bench_import",
    "search": "scripts.bench_search",
    "read": "scripts.bench_read",
    "sampler": "scripts.bench_sampler",
    "trainer": "scripts.bench_trainer",
    "playground": "scripts.bench_playground",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("part", choices=PARTS, help="what is measured")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of that part")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark of one part and return its exit code."""
    module = importlib.import_module(PARTS[args.part])
    parser = command_parser(f"bench-system {args.part}", module)
    return int(module.run(parser.parse_args(args.options)))
