"""Ask an inbox a question and watch a policy look for the answer.

Without --question and --questions it asks you, again and again, until an empty line. Questions of a file are
labelled: for them the right answer and the reward are shown.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

from agent.policies import load_policy
from agent.policy import Policy
from agent.rollout import rollout
from inbox_env.emails import Email
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question, read_questions
from inbox_env.store import EmailStore
from inbox_env.trajectory import Trajectory, write_trajectories
from rewards.ladder import LadderConfig, make_ladder
from scripts.episode_view import EpisodeView
from scripts.search import add_inbox_arguments
from scripts.terminal import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_inbox_arguments(parser)
    parser.add_argument("--policy", required=True, help="who looks: a name like keywords-retry, or local:FOLDER")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--question", metavar="TEXT", help="ask this and end")
    asked.add_argument("--questions", type=Path, metavar="FILE", help="play the questions of a JSON Lines file")
    parser.add_argument("--id", metavar="ID", help="play only this question of the file")
    parser.add_argument("--mode", choices=("answer", "find"), default="answer", help="what the reward judges")
    parser.add_argument("--deadline", type=float, default=120.0, metavar="SECONDS", help="of one episode (default 120)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="append the episodes to a trajectory file")


def run(args: argparse.Namespace) -> int:
    """Play and return the exit code."""
    if args.id and not args.questions:
        raise UsageError(1, "--id needs --questions", next_step="name the file that holds the question")
    store = EmailStore.open(args.mailbox)
    try:
        inbox = Inbox(store, args.inbox)
        labelled = _labelled(args) if args.questions else []
        policy = load_policy(args.policy, {question.id: question for question in labelled} or None)
        today = args.as_of or _last_day(store, args.inbox)
        with asyncio.Runner() as runner:  # one loop for all episodes: a policy may keep tasks in it
            for question in labelled or _asked(args, today):
                runner.run(_play(args, policy, inbox, question, is_labelled=bool(labelled)))
    finally:
        store.close()
    return 0


async def _play(
    args: argparse.Namespace, policy: Policy, inbox: Inbox, question: Question, *, is_labelled: bool
) -> None:
    view = EpisodeView(console())
    view.question(question)
    env = InboxEnv(inbox, question, policy.limits or EnvLimits())
    played = await rollout(policy, env, deadline_seconds=args.deadline, on_turn=view.on_turn)
    view.ending(played.trajectory, _sources(inbox, played.trajectory, question))
    trajectory = played.trajectory
    if is_labelled:
        reward = make_ladder(LadderConfig(mode=args.mode))(trajectory, question)
        trajectory = trajectory.model_copy(update={"reward": reward.value, "reward_parts": reward.parts})
        view.reward(question, reward)
    if args.save:
        write_trajectories(args.save, [trajectory], append=True)


def _labelled(args: argparse.Namespace) -> list[Question]:
    questions = [q for q in read_questions(args.questions) if q.inbox == args.inbox and args.id in (None, q.id)]
    if not questions:
        what = f"no question {args.id}" if args.id else "no question"
        raise UsageError(2, f"{what} about inbox {args.inbox}", where=str(args.questions))
    return questions


def _asked(args: argparse.Namespace, today: date | None) -> Iterator[Question]:
    texts = iter([args.question]) if args.question else _lines()
    for number, text in enumerate(texts, 1):
        yield _unlabelled(f"asked-{number}", text, args.inbox, today)


def _unlabelled(identity: str, text: str, inbox: str, asked_on: date | None) -> Question:
    # Nobody knows the answer, so the label is never looked at: the environment reads inbox, words and day only.
    return Question(id=identity, inbox=inbox, question=text, answerable=False, kind="unanswerable", asked_on=asked_on)


def _last_day(store: EmailStore, inbox: str) -> date | None:
    """Return the day of the newest mail: the "today" of somebody who asks this inbox now."""
    newest = store.info(inbox).last_date
    return newest.date() if newest else None


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


def _sources(inbox: Inbox, trajectory: Trajectory, question: Question) -> list[tuple[int, Email]]:
    found = (inbox.read(message_id, as_of=question.as_of) for message_id in trajectory.sources)
    return [(stored.number, stored.email) for stored in found if stored is not None]
