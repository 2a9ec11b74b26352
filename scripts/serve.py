"""Print, or run, the vLLM server that a training configuration needs.

The options are those that the trainer checks at its start: processed logprobs, enough context, adapters and weights
that can be replaced. Knows nothing of what is asked of the server.
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
    parser.add_argument("--config", type=Path, required=True, help="TOML file, see scripts/configs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one key; repeatable")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
    parser.add_argument("--run", action="store_true", help="become the server instead of printing its command")


def run(args: argparse.Namespace) -> int:
    """Print the command, or become the server."""
    from agent.grpo.config import load_config

    words = command(load_config(args.config, args.set), host=args.host, port=args.port)
    if not args.run:
        print(" ".join(f"{name}={value}" for name, value in SETTINGS.items()), shlex.join(words))
        return 0
    os.execvpe(words[0], words, {**os.environ, **SETTINGS})  # noqa: S606 - no shell; replaces this process
