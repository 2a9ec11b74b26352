"""`mailsleuth serve --openai`: what was chosen on the command line becomes a server.

Knows nothing of routes or requests.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from inbox_env.errors import UsageError
from scripts.model_server.app import make_api
from scripts.model_server.chat import Chat
from scripts.model_server.generator import Generator
from scripts.model_server.served_model import open_model
from scripts.playground.server import Address, serve
from scripts.policy_choices import LOCAL, default_policy
from scripts.terminal import safe_line, waiting

_WHY = "what it is asked holds mail"


def serve_model(args: argparse.Namespace) -> None:
    """Serve until interrupted; raises MailsleuthError."""
    if args.slots < 1 or args.queue < 0:
        raise UsageError(88, "--slots is at least 1, --queue at least 0")
    spec = args.policy or default_policy()
    if spec is None or not spec.startswith(LOCAL):
        what = "no trained run and no base model here" if spec is None else f"{spec} is served elsewhere already"
        raise UsageError(89, what, next_step="name a run or a model folder: --policy local:FOLDER")
    address = Address.chosen(
        args.host, args.port, is_network_allowed=args.unsafe_allow_network, environment=os.environ, why=_WHY
    )
    with waiting(f"loading {spec}"):
        model = open_model(Path(spec.removeprefix(LOCAL)), num_slots=args.slots, device=_device(args.device))
    generator = Generator(model.engine, num_slots=args.slots, num_queued=args.queue, deadline_seconds=args.deadline)
    chat = Chat(model, generator)
    try:
        serve(
            lambda allowed: make_api(chat, allowed),
            address,
            title=safe_line(f"model {model.name}", 80),
            opens_browser=False,
            path="v1",
        )
    finally:
        generator.close()
        chat.close()


def _device(name: str) -> str:
    from agent.devices import resolve_device

    return resolve_device(name)
