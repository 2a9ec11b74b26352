"""`mailsleuth play` as a page in the browser: what was chosen on the command line becomes a server.

Knows nothing of routes or events.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from inbox_env.questions import Question
from scripts.playground.app import make_app
from scripts.playground.ask_routes import AskRoutes, AskSettings
from scripts.playground.episode_loop import EpisodeLoop
from scripts.playground.episodes import Episodes
from scripts.playground.guard import Allowed, Guard
from scripts.playground.library import Library
from scripts.playground.mail_routes import mail_routes
from scripts.playground.policy_shelf import PolicyShelf
from scripts.playground.server import Address, serve
from scripts.playground.views import View
from scripts.terminal import plural

BY_HAND = Path("data/runs/by-hand.jsonl")


def open_page(args: argparse.Namespace, mailbox: Path, questions: Sequence[Question]) -> None:
    """Serve the page until interrupted; raises MailsleuthError."""
    address = Address.chosen(args.host, args.port, is_network_allowed=args.unsafe_allow_network, environment=os.environ)
    library = Library(mailbox, questions, args.inbox)
    if absent := len(questions) - len(library.gold):
        print(f"{absent} of {plural(len(questions), 'question')}: no mail for them in {mailbox}", file=sys.stderr)
    loop = EpisodeLoop()
    settings = AskSettings(
        save=args.save, save_hand=BY_HAND, mode=args.mode, as_of=args.as_of, deadline_seconds=args.deadline
    )
    try:
        serve(
            lambda allowed: make_page(library, loop, settings, allowed, policy=args.policy),
            address,
            title="playground",
            opens_browser=not args.no_browser,
        )
    finally:
        loop.close()
        library.close()


def make_page(
    library: Library, loop: EpisodeLoop, settings: AskSettings, allowed: Allowed, *, policy: str | None = None
) -> Guard:
    """Return the application: asking, and looking into inboxes."""
    shelf = PolicyShelf(library.gold, policy)
    ask = AskRoutes(library, shelf, Episodes(loop, shelf), settings)
    return make_app([View("ask", "Ask", ask.routes())], mail_routes(lambda _: library), allowed)
