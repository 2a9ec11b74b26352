"""Asking before mail leaves this machine: a policy, judge or question writer elsewhere is named once, and agreed to.

Knows nothing of how policies work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping

from agent.judge_config import JudgeConfig
from agent.policies.api import destination
from agent.policies.chat_models import sends_to
from inbox_env.errors import UsageError
from scripts.terminal import safe_line


def add_consent(parser: argparse._ActionsContainer) -> None:
    """Add the option that agrees beforehand."""
    help_text = "agree that mail is sent to the API of a model that is not on this machine"
    parser.add_argument("--yes-send", action="store_true", help=help_text)


def confirm_sending(
    specs: Iterable[str], *, is_agreed: bool, judge: JudgeConfig | None = None, is_ranking: bool = False
) -> None:
    """Say where mail goes, once, and return when that was agreed to by option or at the terminal.

    A judge gets questions with right and given answers; one that ranks (`is_ranking`) gets what was opened as well.
    Raises UsageError when it was not agreed to.
    """
    lines: dict[str, str] = {}
    for host in map(sends_to, specs):
        lines[host] = f"questions and the mails that the model opens go to {host}"
    if judge is not None and judge.model and (host := destination(judge.model, judge.api_base)):
        what = "and the mails that were opened" if is_ranking else "with right and given answers"
        lines.setdefault(host, f"questions {what} go to the judge at {host}")
    confirm_lines(lines, is_agreed=is_agreed)


def confirm_lines(lines: Mapping[str, str], *, is_agreed: bool) -> None:
    """Say what goes to each host, once, and return when that was agreed to; "" is this machine, where nothing leaves.

    Raises UsageError when it was not agreed to.
    """
    lines = {host: line for host, line in lines.items() if host}
    if not lines:
        return
    print(f"mail leaves this machine: {safe_line('; '.join(lines.values()), 600)}", file=sys.stderr)
    if is_agreed:
        return
    if not (sys.stdin.isatty() and input("send it? [y/N] ").strip().lower() in ("y", "yes")):
        names = safe_line(", ".join(lines), 120)
        raise UsageError(1, f"not agreed to send mail to {names}", next_step="add --yes-send")
