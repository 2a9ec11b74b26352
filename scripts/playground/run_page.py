"""`mailsleuth view` as a page in the browser: runs and files of trajectories become a server.

Knows nothing of routes or of what a source holds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from scripts.playground.app import make_app
from scripts.playground.guard import Allowed, Guard
from scripts.playground.run_routes import RunRoutes
from scripts.playground.run_source import Source
from scripts.playground.server import Address, serve
from scripts.playground.views import View


def open_runs(args: argparse.Namespace, sources: Sequence[Source]) -> None:
    """Serve the page until interrupted; raises MailsleuthError."""
    address = Address.chosen(args.host, args.port, is_network_allowed=args.unsafe_allow_network, environment=os.environ)
    serve(
        lambda allowed: make_runs_page(sources, allowed),
        address,
        title="viewer",
        opens_browser=not args.no_browser,
    )


def make_runs_page(sources: Sequence[Source], allowed: Allowed) -> Guard:
    """Return the application with these sources, the first of them shown first."""
    return make_app([View("runs", "Runs", RunRoutes(sources).routes())], (), allowed)
