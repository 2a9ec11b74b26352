"""Asking before mail leaves this machine: a policy or judge behind an API elsewhere is named once, and agreed to.

Knows nothing of how policies work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from agent.judge_config import JudgeConfig
from agent.policies.api import destination
from agent.policies.chat_models import sends_to
from inbox_env.errors import UsageError
from scripts.terminal import safe_line


def add_consent(parser: argparse._ActionsContainer) -> None:
    """Add the option that agrees beforehand."""
    parser.add_argument(
        "--yes-send", action="store_true", help="agree that mail is sent to the API of a policy api:.. or of a judge"
    )


def confirm_sending(
    specs: Iterable[str], *, is_agreed: bool, judge: JudgeConfig | None = None, is_ranking: bool = False
) -> None:
    """Say where mail goes, once, and return when that was agreed to by option or at the terminal.

    A judge gets questions with right and given answers; one that ranks (`is_ranking`) gets what was opened as well.
    Raises UsageError when it was not agreed to.
    """
    lines = {}
    for host in map(sends_to, specs):
        lines[host] = f"questions and the mails that the model opens go to {host}"
    if judge is not None and judge.model and (host := destination(judge.model, judge.api_base)):
        what = "and the mails that were opened" if is_ranking else "with right and given answers"
        lines.setdefault(host, f"questions {what} go to the judge at {host}")
    lines.pop("", None)
    if not lines:
        return
    print(f"mail leaves this machine: {safe_line('; '.join(lines.values()), 300)}", file=sys.stderr)
    if is_agreed:
        return
    if not (sys.stdin.isatty() and input("send it? [y/N] ").strip().lower() in ("y", "yes")):
        names = safe_line(", ".join(lines), 120)
        raise UsageError(1, f"not agreed to send mail to {names}", next_step="add --yes-send")
