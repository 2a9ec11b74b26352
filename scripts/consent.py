"""Asking before mail leaves this machine: a policy behind an API elsewhere is told so once, and agreed to.

Knows nothing of how policies work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from agent.policies.api import API, destination
from inbox_env.errors import UsageError
from scripts.terminal import safe_line


def add_consent(parser: argparse.ArgumentParser) -> None:
    """Add the option that agrees beforehand."""
    parser.add_argument("--yes-send", action="store_true", help="agree that mail is sent to the API of --policy api:..")


def confirm_sending(specs: Iterable[str], *, is_agreed: bool) -> None:
    """Say where mail goes, once, and return when that was agreed to by option or at the terminal.

    Raises UsageError when it was not.
    """
    hosts = dict.fromkeys(host for spec in specs if spec.startswith(API) and (host := destination(spec)))
    if not hosts:
        return
    names = safe_line(", ".join(hosts), 120)
    print(f"mail leaves this machine: questions and the mails that the model opens go to {names}", file=sys.stderr)
    if is_agreed:
        return
    if not (sys.stdin.isatty() and input("send it? [y/N] ").strip().lower() in ("y", "yes")):
        raise UsageError(1, f"not agreed to send mail to {names}", next_step="add --yes-send")
