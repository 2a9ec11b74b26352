"""The options of `mailsleuth bench`, and which of them are out of range.

Knows nothing of what is done with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inbox_env.errors import UsageError
from scripts.argument_types import seconds
from scripts.consent import add_consent


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    _add_what(parser)
    _add_how(parser)
    _add_shown(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", metavar="NAME", help="quick, held-out, injection, enron, complete, arte-compat, or a TOML file"
    )
    parser.add_argument("--mailbox", type=Path, help="mailbox file made by `mailsleuth import`")
    parser.add_argument(
        "--questions",
        type=Path,
        action="append",
        metavar="FILE",
        help="JSON Lines file of labelled questions; repeatable: each is also reported alone",
    )
    parser.add_argument(
        "--policy",
        action="append",
        metavar="NAME",
        help="keywords-and, keywords-names, keywords-bm25, keywords-retry (each also as NAME+local:FOLDER), "
        "demonstrator, oracle, local:FOLDER, api:PROVIDER/MODEL (or litellm:..), openai:URL#MODEL; "
        "api+json:.. and openai+json:.. for models without function calling; repeatable (default: the suite's)",
    )
    add_consent(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of episodes and report")
    parser.add_argument(
        "--mode", choices=("answer", "find"), help="what counts as right (default: the suite's, answer)"
    )
    parser.add_argument(
        "--judge", metavar="MODEL", help="PROVIDER/MODEL that decides about answers which no rule decides (mode answer)"
    )
    parser.add_argument("--inbox", action="append", metavar="NAME", help="only questions about this inbox; repeatable")
    parser.add_argument("--limit", type=int, metavar="N", help="only N questions, spread evenly over the file")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FOLDER",
        help="run or model folder whose prompt and limits (its agent.json) all policies get but trained agents, which "
        "keep their own (default: the suite's)",
    )
    parser.add_argument("--baseline", metavar="NAME", help="policy to compare the others with (default: the first)")


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--temperature", type=float, action="append", metavar="T", help="of sampling; repeatable (default 0)"
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed of sampling (default 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="plays of every question (default 1)")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N", help="episodes at once (default 64)")
    parser.add_argument(
        "--api-concurrency", type=int, default=8, metavar="N", help="the same of a model behind an API (default 8)"
    )
    parser.add_argument(
        "--deadline", type=seconds, default=300.0, metavar="SECONDS", help="of one episode (default 300)"
    )
    parser.add_argument(
        "--call-seconds", type=seconds, default=120.0, metavar="SECONDS", help="of one call of an API (default 120)"
    )
    parser.add_argument(
        "--fail-on-error",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="give up when more than this share of episodes ends in an error (default 0.1)",
    )


def _add_shown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--price-per-hour",
        type=float,
        metavar="DOLLARS",
        help="of this machine, for what runs on it (default: no cost)",
    )
    parser.add_argument(
        "--detect",
        type=float,
        default=0.05,
        metavar="DIFFERENCE",
        help="say how many questions would show a difference this large in 4 of 5 cases (default 0.05)",
    )
    parser.add_argument("--json", action="store_true", help="print summary.json instead of the table")


def check_options(args: argparse.Namespace) -> None:
    """Raise UsageError for the first option that is out of range."""
    for name in ("concurrency", "api_concurrency"):
        _check(9, args, name, getattr(args, name) >= 1, "at least 1")
    _check(10, args, "fail_on_error", 0 <= args.fail_on_error <= 1, "a share from 0 to 1")
    _check(12, args, "seeds", 1 <= args.seeds <= 100, "from 1 to 100")
    _check(13, args, "temperature", all(0 <= one <= 5 for one in args.temperature or ()), "from 0 to 5")
    _check(14, args, "detect", 0 < args.detect <= 1, "a difference of two shares, above 0 and at most 1")
    is_price = args.price_per_hour is None or 0 <= args.price_per_hour < 1e6
    _check(15, args, "price_per_hour", is_price, "not negative")


def _check(number: int, args: argparse.Namespace, name: str, is_right: bool, form: str) -> None:
    if not is_right:
        option, value = f"--{name.replace('_', '-')}", getattr(args, name)
        given = " ".join(map(str, value)) if isinstance(value, list) else value
        raise UsageError(number, f"{option} is {form}", where=f"{option} {given}", next_step="see bench --help")
