"""Starts a function in several processes that meet as torchrun's do, on loopback."""

from __future__ import annotations

import os
import socket

import torch
from torch import multiprocessing

from agent.grpo.distributed import joined_by_torchrun


def together(function, *arguments, size=2, patience_seconds=120.0):
    """Call `function(peers, *arguments)` in `size` new processes; a failure of one is raised here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    arguments = (size, port, patience_seconds, function, arguments)
    multiprocessing.start_processes(_enter, arguments, size, start_method="fork")  # imports are there already


def _enter(rank, size, port, patience_seconds, function, arguments):
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    with joined_by_torchrun(patience_seconds=patience_seconds) as peers:
        function(peers, *arguments)
