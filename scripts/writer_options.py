"""The options of `mailsleuth questions` that are about a model which writes the questions.

Knows nothing of how it does that.
"""

from __future__ import annotations

import argparse

from inbox_env.errors import UsageError
from scripts.consent import add_consent


def add_writer_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, in a group of their own."""
    group = parser.add_argument_group("with --writer")
    group.add_argument(
        "--writer", metavar="MODEL", help="chat model that writes: api:PROVIDER/MODEL, or openai:URL#MODEL for a server"
    )
    group.add_argument("--solver", metavar="MODEL", help="chat model that proves them (default: the writer)")
    group.add_argument("--dry-run", action="store_true", help="estimate calls, tokens and cost; send nothing")
    group.add_argument("--budget", type=float, metavar="USD", help="stop when all calls for FILE have cost this much")
    group.add_argument("--max-calls", type=int, metavar="N", help="stop after so many calls for FILE")
    group.add_argument(
        "--max-tokens",
        type=int,
        default=4096,
        metavar="N",
        help="most tokens of one reply, thoughts included (default 4096)",
    )
    group.add_argument("--concurrency", type=int, default=8, metavar="N", help="calls under way at once (default 8)")
    group.add_argument(
        "--min-realism",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="0 to 1: leave out what the solver finds less likely to be asked (default 0.5)",
    )
    add_consent(group)


def check_writer_options(args: argparse.Namespace) -> None:
    """Raise UsageError for values that make no sense."""
    if args.writer is None and (args.dry_run or args.solver or args.budget is not None or args.max_calls is not None):
        raise UsageError(1, "this goes with --writer", next_step="name the model that writes the questions")
    if args.check is not None and args.writer is not None:
        raise UsageError(2, "--check and --writer do not go together", next_step="write first, then check")
    if args.concurrency < 1 or args.max_tokens < 1 or (args.max_calls is not None and args.max_calls < 0):
        raise UsageError(3, "--concurrency and --max-tokens are at least 1, and --max-calls no less than 0")
    if args.budget is not None and not 0 <= args.budget < float("inf"):
        raise UsageError(4, "--budget is a number of dollars")
    if not 0 <= args.min_realism <= 1:
        raise UsageError(5, "--min-realism is between 0 and 1")
