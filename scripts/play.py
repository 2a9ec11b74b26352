"""Ask an inbox a question and watch a policy look for the answer.

Opens a page in the browser, served on this machine alone. With --terminal, --question or --id it stays in the terminal:
there, without --question and --questions, it asks you again and again until an empty line. Questions of a file are
labelled: for them the right answer and the reward are shown. Without --mailbox, an invented inbox and its own questions
are played. --terminal --replay FILE steps through recorded episodes by keys, or prints them into a pipe.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import date
from itertools import count
from pathlib import Path

from agent.policies import load_policy
from agent.policy import Policy
from agent.rollout import rollout
from inbox_env.actions import StopReason
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.errors import ExitCode, UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question, read_questions
from inbox_env.store import EmailStore
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.trajectory import Turn, write_trajectories
from scripts.argument_types import check_writable, seconds
from scripts.consent import add_consent, confirm_sending
from scripts.episode_view import EpisodeView
from scripts.page_options import add_page_arguments
from scripts.playground.cards import ending_event, question_event, turn_card
from scripts.playground.scoring import score_event, with_reward
from scripts.policy_choices import BASE, TRAINED, default_policy
from scripts.search import parse_day
from scripts.terminal import console, waiting
from scripts.unlabelled import unlabelled

CACHE = Path("data/cache")
INVENTED = SyntheticRecipe("dev", (1,))
NUM_INVENTED_QUESTIONS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--mailbox", type=Path, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--inbox", help="name of the inbox in it; see `mailsleuth inboxes`")
    parser.add_argument("--as-of", type=parse_day, metavar="DAY", help="today (default: the day of the newest mail)")
    parser.add_argument(
        "--policy",
        help="who looks: local:FOLDER, api:PROVIDER/MODEL, or for labelled questions a script "
        f"(default: {TRAINED}, or else {BASE})",
    )
    add_consent(parser)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--question", metavar="TEXT", help="ask this and end")
    asked.add_argument("--questions", type=Path, metavar="FILE", help="play the questions of a JSON Lines file")
    parser.add_argument("--id", metavar="ID", help="play only this question")
    parser.add_argument("--mode", choices=("answer", "find"), default="answer", help="what the reward judges")
    parser.add_argument(
        "--deadline", type=seconds, default=120.0, metavar="SECONDS", help="of an episode (default 120)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="append the episodes to a trajectory file")
    parser.add_argument("--terminal", action="store_true", help="stay in the terminal")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="with --terminal: show the episodes of a trajectory file"
    )
    add_page_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Play and return the exit code."""
    if args.replay:
        return _replay(args)
    if args.save:
        check_writable(args.save)
    if args.terminal or args.question or args.id:
        return _play_in_terminal(args)
    return _open_page(args)


def _replay(args: argparse.Namespace) -> int:
    from scripts.terminal_replay import replay_in_terminal

    if not args.terminal or args.question:
        raise UsageError(6, "--replay is shown in the terminal, and asks nothing", next_step="add --terminal alone")
    replay_in_terminal(args.replay, mailbox=args.mailbox, questions=args.questions, identity=args.id, mode=args.mode)
    return ExitCode.OK


def _open_page(args: argparse.Namespace) -> int:
    from scripts.playground.page import open_page  # the server's libraries are of no use in the terminal

    if args.mailbox is None:
        _check_inbox_has_mailbox(args)
        mailbox, questions = ensure_mailbox(INVENTED, CACHE)
        open_page(args, mailbox, questions)
    else:
        open_page(args, args.mailbox, read_questions(args.questions) if args.questions else [])
    return ExitCode.OK


def _play_in_terminal(args: argparse.Namespace) -> int:
    mailbox, name, labelled = _chosen(args)
    spec = args.policy or default_policy()
    if spec is None:
        raise UsageError(3, "no trained run and no base model here", next_step="name a policy with --policy")
    store = EmailStore.open(mailbox)
    try:
        inbox = Inbox(store, name)
        confirm_sending([spec], is_agreed=args.yes_send)
        with waiting(f"loading {spec}"):
            policy = load_policy(spec, {question.id: question for question in labelled} or None)
        today = args.as_of or inbox.last_day
        with asyncio.Runner() as runner:  # one loop for all episodes: a policy may keep tasks in it
            played = [
                runner.run(_play(args, policy, inbox, question, is_labelled=bool(labelled)))
                for question in labelled or _asked(args.question, name, today)
            ]
    finally:
        store.close()
    return ExitCode.UPSTREAM if StopReason.ERROR in played else ExitCode.OK


def _chosen(args: argparse.Namespace) -> tuple[Path, str, list[Question]]:
    """Return the mailbox, the inbox, and the labelled questions (none: somebody asks)."""
    _check_inbox_has_mailbox(args)
    if args.mailbox is not None and args.inbox is None:
        raise UsageError(1, "in the terminal --mailbox needs --inbox", next_step="see `mailsleuth inboxes`")
    if args.mailbox is None:
        mailbox, invented = ensure_mailbox(INVENTED, CACHE)
        name, labelled = invented[0].inbox, invented if args.id else invented[:NUM_INVENTED_QUESTIONS]
    else:
        mailbox, name, labelled = args.mailbox, args.inbox, []
    if args.question:
        return mailbox, name, []
    if args.id or args.questions:
        labelled = _about(name, args.id, read_questions(args.questions) if args.questions else labelled)
    return mailbox, name, labelled


def _check_inbox_has_mailbox(args: argparse.Namespace) -> None:
    if args.mailbox is None and args.inbox is not None:
        raise UsageError(4, "--inbox without --mailbox", next_step="give both, or none for an invented inbox")


def _about(inbox: str, identity: str | None, questions: list[Question]) -> list[Question]:
    found = [question for question in questions if question.inbox == inbox and identity in (None, question.id)]
    if not found:
        what = f"no question {identity}" if identity else "no question"
        raise UsageError(2, f"{what} about inbox {inbox}", next_step="name the file that holds it with --questions")
    return found


async def _play(
    args: argparse.Namespace, policy: Policy, inbox: Inbox, question: Question, *, is_labelled: bool
) -> StopReason:
    """Play one question, show it turn by turn, and return what ended it."""
    out = console()
    view, numbers = EpisodeView(out), count(1)
    view.add("question", question_event(question, policy.name, is_labelled=is_labelled))
    limits = policy.limits or EnvLimits()

    def on_turn(turn: Turn) -> None:
        view.add("turn", turn_card(turn, next(numbers), inbox, question.as_of))

    with out.status("thinking") if out.is_terminal else nullcontext():
        env = InboxEnv(inbox, question, limits)
        played = await rollout(policy, env, deadline_seconds=args.deadline, on_turn=on_turn)
    trajectory = played.trajectory
    view.add("ending", ending_event(trajectory, inbox, question))
    if is_labelled:
        trajectory = with_reward(trajectory, question, args.mode)
        view.add("score", score_event(trajectory, question, inbox, args.mode, limits.match))
    out.print()
    if args.save:
        write_trajectories(args.save, [trajectory], append=True)
    return trajectory.stop_reason


def _asked(question: str | None, inbox: str, today: date | None) -> Iterator[Question]:
    texts = iter([question]) if question else _lines()
    for number, text in enumerate(texts, 1):
        yield unlabelled(f"asked-{number}", text, inbox, today)


def _lines() -> Iterator[str]:
    """Yield what the user types, up to an empty line or the end of the input."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 - gives `input` a history and arrow keys
    while True:
        try:
            text = input("ask> " if is_terminal else "").strip()
        except EOFError:
            return
        if not text:
            return
        yield text
