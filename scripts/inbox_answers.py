"""Answers about one inbox from one policy, each with its sources and the words that support it.

What `mailsleuth ask` prints and `mailsleuth serve --mcp` gives to other programs. Knows nothing of either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from agent.policies.chat_models import parse_chat_spec
from agent.policy import Policy
from agent.rollout import rollout
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.trajectory import Turn
from scripts.argument_types import seconds
from scripts.consent import add_consent, confirm_sending
from scripts.playground.cards import ending_event
from scripts.policy_choices import BASE, LOCAL, TRAINED, default_policy
from scripts.search import add_inbox_arguments
from scripts.terminal import waiting
from scripts.unlabelled import unlabelled

OnTurn = Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """Asks `policy` about `inbox` as of `today`."""

    inbox: Inbox
    policy: Policy
    today: date | None
    deadline_seconds: float

    async def ask(self, text: str, on_turn: OnTurn | None = None) -> dict[str, Any]:
        """Return question, stop_reason, answer (None: "I don't know"), sources with quotes, and what it took.

        All text is safe to print.
        """
        question = unlabelled("asked", " ".join(text.split()), self.inbox.name, self.today)
        env = InboxEnv(self.inbox, question, self.policy.limits or EnvLimits())
        played = await rollout(self.policy, env, deadline_seconds=self.deadline_seconds, on_turn=on_turn)
        return {"question": question.question, **ending_event(played.trajectory, self.inbox, question)}


def add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add mailbox, inbox, day, policy, consent and deadline."""
    add_inbox_arguments(parser)
    parser.add_argument(
        "--policy", help=f"who looks: local:FOLDER, openai:URL, api:PROVIDER/MODEL (default: {TRAINED}, or else {BASE})"
    )
    add_consent(parser)
    parser.add_argument("--deadline", type=seconds, default=120.0, metavar="SECONDS", help="of an answer (default 120)")


def open_answers(args: argparse.Namespace) -> Answers:
    """Return what the arguments ask for; its inbox is to be closed. Raises UsageError."""
    from agent.policies import load_policy

    spec = args.policy or default_policy()
    if spec is None:
        next_step = "make train, or name a policy with --policy"
        raise UsageError(5, "no trained run and no base model here", next_step=next_step)
    if not (spec.startswith(LOCAL) or parse_chat_spec(spec)):
        next_step = "local:FOLDER, openai:URL#MODEL or api:PROVIDER/MODEL"
        raise UsageError(8, f"{spec!r} is no model: nothing else can answer", next_step=next_step)
    inbox = Inbox.open(args.mailbox, args.inbox)
    confirm_sending([spec], is_agreed=args.yes_send)
    with waiting(f"loading {spec}"):
        policy = load_policy(spec)
    return Answers(inbox, policy, args.as_of or inbox.last_day, args.deadline)
