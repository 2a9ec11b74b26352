"""Serve an inbox (MCP) or a trained agent's model (OpenAI's protocol), or print a training's vLLM server.

--mcp speaks the Model Context Protocol on standard input and output: tools to ask, search and read one inbox as of a
day. --openai answers /v1/chat/completions with a trained agent's model: `mailsleuth bench --policy openai:URL` plays it
as it plays here. --config prints the vLLM server that a training configuration needs, with the options that the trainer
checks at its start; with --run it becomes that server.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from inbox_env.errors import UsageError
from scripts.argument_types import port, seconds
from scripts.consent import add_consent
from scripts.page_options import TOKEN_VARIABLE
from scripts.search import parse_day

if TYPE_CHECKING:
    from agent.grpo.config import TrainConfig

# The second opens /pause, /collective_rpc and /reset_prefix_cache, so the server must not be reachable from outside.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
)


def command(config: TrainConfig, *, host: str = "127.0.0.1", port: int = 8000) -> list[str]:
    """Return the command line of a server for `config`."""
    words = ["vllm", "serve", str(config.model.path), "--host", host, "--port", str(port)]
    words += ["--max-model-len", str(config.sampling.max_context), "--max-num-seqs", str(config.sampling.max_rows)]
    words += ["--logprobs-mode", "processed_logprobs", "--enable-prefix-caching", "--generation-config", "vllm"]
    if rank := config.model.lora_rank:
        words += ["--enable-lora", "--max-lora-rank", str(_allowed_rank(rank)), "--max-loras", "1"]
        words += ["--max-cpu-loras", "2"]
    return words


def _allowed_rank(rank: int) -> int:
    """Return the smallest rank that vLLM makes room for and that holds `rank`."""
    for allowed in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= allowed:
            return allowed
    raise UsageError(86, f"vLLM serves no adapters of rank {rank}", next_step="set model.lora_rank to at most 512")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--mcp", action="store_true", help="serve an inbox over standard input and output")
    what.add_argument("--openai", action="store_true", help="serve a trained agent's model over HTTP")
    what.add_argument("--config", type=Path, help="TOML file, see scripts/configs: its vLLM server")
    inbox = parser.add_argument_group("with --mcp")
    inbox.add_argument("--mailbox", type=Path, help="mailbox file made by `mailsleuth import`")
    inbox.add_argument("--inbox", help="name of the inbox in it; see `mailsleuth inboxes`")
    inbox.add_argument("--as-of", type=parse_day, metavar="DAY", help="see only mail up to this day (default: all)")
    add_consent(inbox)
    model = parser.add_argument_group("with --openai")
    model.add_argument("--slots", type=int, default=16, metavar="N", help="turns sampled at once (default 16)")
    model.add_argument(
        "--queue", type=int, default=64, metavar="N", help="requests that may wait beyond them (default 64; then 429)"
    )
    model.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    model.add_argument(
        "--unsafe-allow-network",
        action="store_true",
        help=f"let other machines connect, who send the token in {TOKEN_VARIABLE} as their key",
    )
    both = parser.add_argument_group("with --mcp or --openai")
    both.add_argument("--policy", help="who answers (default: the trained run, or else the bundled base)")
    both.add_argument(
        "--deadline", type=seconds, default=120.0, metavar="SECONDS", help="of one answer or turn (default 120)"
    )
    listening = parser.add_argument_group("with --openai or --config")
    listening.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    listening.add_argument("--port", type=port, default=8000, help="port (default 8000; --openai takes the next free)")
    vllm = parser.add_argument_group("with --config")
    vllm.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one key; repeatable")
    vllm.add_argument("--run", action="store_true", help="become the server instead of printing its command")


def run(args: argparse.Namespace) -> int:
    """Serve the inbox or the model, print the command, or become the server."""
    if args.openai:
        return _serve_agent(args)
    return _serve_inbox(args) if args.mcp else _serve_model(args)


def _serve_agent(args: argparse.Namespace) -> int:
    from scripts.model_server.command import serve_model

    serve_model(args)
    return 0


def _serve_inbox(args: argparse.Namespace) -> int:
    from scripts.inbox_answers import open_answers
    from scripts.mcp_server import make_server

    if args.mailbox is None or args.inbox is None:
        raise UsageError(87, "--mcp needs --mailbox and --inbox", next_step="see `mailsleuth inboxes`")
    answers = open_answers(args)
    try:
        make_server(answers).run("stdio")
    finally:
        answers.inbox.close()
    return 0


def _serve_model(args: argparse.Namespace) -> int:
    from agent.grpo.config import load_config

    words = command(load_config(args.config, args.set), host=args.host, port=args.port)
    if not args.run:
        print(" ".join(f"{name}={value}" for name, value in SETTINGS.items()), shlex.join(words))
        return 0
    os.execvpe(words[0], words, {**os.environ, **SETTINGS})  # noqa: S606 - no shell; replaces this process
