"""Runs to look into: real episodes in an invented mailbox, laid out as training lays them out, without a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from agent.evaluate import summarise
from agent.grpo.findings import Severity, found
from agent.policies import load_policy
from agent.rollout import rollout
from agent.token_records import TokenRecord, token_path, write_token_records
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.inbox import Inbox
from inbox_env.questions import Question, write_questions
from inbox_env.trajectory import Trajectory, write_trajectories
from rewards.ladder import LadderConfig, make_ladder
from scripts.playground.guard import Guard
from scripts.playground.run_page import make_runs_page
from scripts.playground.run_source import Source
from tests.scripts.playground.served import listening, running

PLAYERS = ("oracle", "keywords-and", "keywords-bm25", "keywords-retry")
REWARD = {"mode": "answer", "wrong": -0.3}
GROUP_SIZE = 4


def play(mailbox: Path, questions: Sequence[Question], players: Sequence[str] = PLAYERS) -> list[Trajectory]:
    """Return one graded episode of each question by each player, question by question."""
    gold = {question.id: question for question in questions}
    policies = [load_policy(name, gold) for name in players]
    ladder, inboxes = make_ladder(LadderConfig(**REWARD)), {}

    async def play_all() -> list[Trajectory]:
        episodes = []
        for question in questions:
            inbox = inboxes.setdefault(question.inbox, Inbox.open(mailbox, question.inbox))
            for policy in policies:
                played = await rollout(policy, InboxEnv(inbox, question, EnvLimits()))
                reward = ladder(played.trajectory, question)
                update = {"reward": reward.value, "reward_parts": reward.parts, "policy": "trainee"}
                episodes.append(played.trajectory.model_copy(update=update))
        return episodes

    with ThreadPoolExecutor(1) as pool:  # a driven browser has an event loop in this thread
        return pool.submit(lambda: asyncio.run(play_all())).result()


def make_run(folder: Path, mailbox: Path, questions: Sequence[Question], num_steps: int = 3, name: str = "run") -> Path:
    """Return a run folder: two groups a step, tokens of the first, and evaluations before and after."""
    run = folder / name
    (run / "trajectories").mkdir(parents=True)
    (run / "evaluation").mkdir()
    asked = folder / f"{name}-questions.jsonl"
    write_questions(asked, questions)
    data = {"mailbox": {"path": str(mailbox), "train": str(asked), "dev": str(asked), "test": str(asked)}}
    grpo = {"group_size": GROUP_SIZE, "steps": 2 * num_steps, "advantage_scale": "none", "baseline": "mean"}
    (run / "config.json").write_text(json.dumps({"data": data, "grpo": grpo, "reward": REWARD}), encoding="utf-8")
    for step in range(1, num_steps + 1):
        played = play(mailbox, questions[2 * step - 2 : 2 * step])
        write_trajectories(run / "trajectories" / f"step-{step:06d}.jsonl", played)
        write_token_records(token_path(run, step), [tokens_of(one, line) for line, one in enumerate(played[:4], 1)])
        add_step(run, step)
    reports = []
    for policy, player in (("base", "keywords-and"), ("trained", "oracle")):
        update = {"policy": policy, "reward": None, "reward_parts": {}}
        played = [one.model_copy(update=update) for one in play(mailbox, questions[:4], [player])]
        write_trajectories(run / "evaluation" / f"{policy}.jsonl", played)
        reports.append(summarise(policy, policy, "test", played, questions[:4]).model_dump(mode="json"))
    (run / "summary.json").write_text(json.dumps({"policies": reports}), encoding="utf-8")
    finding = found("zero_spread", Severity.WARNING, "8 of 10 groups", 2).model_dump_json()
    (run / "doctor.jsonl").write_text(f"{finding}\n{finding[:30]}", encoding="utf-8")
    return run


def add_step(run: Path, step: int, reward: float | None = None) -> None:
    """Append a row of metrics, as a training run does."""
    row = {"step": step, "reward_mean": 0.1 * step if reward is None else reward, "accuracy": min(1.0, 0.1 * step)}
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row | {"entropy": 1 / step, "kl": None}) + "\n")


def tokens_of(trajectory: Trajectory, line: int) -> TokenRecord:
    """Return made-up tokens: the opening was read, the turns were sampled."""
    read = trajectory.opening.split()[:20]
    said = [f" {word}" for turn in trajectory.turns for word in turn.text.split() or ["call"]]
    logprobs = tuple(-0.37 * place for place in range(len(said)))
    return TokenRecord(
        line=line,
        question_id=trajectory.question_id,
        tokens=(*(f" {word}" for word in read), *said),
        mask=(0,) * len(read) + (1,) * len(said),
        sampled=logprobs,
        logprobs=logprobs,
        old_logprobs=tuple(value - 0.1 for value in logprobs),
        advantages=(0.25,) * len(said),
    )


@contextmanager
def viewed(*paths: Path, mailbox: Path | None = None) -> Iterator[str]:
    """Yield the address of a running viewer of these runs or files."""
    with viewed_app(*paths, mailbox=mailbox) as (url, _):
        yield url


@contextmanager
def viewed_app(*paths: Path, mailbox: Path | None = None, token: str = "") -> Iterator[tuple[str, Guard]]:
    """Yield the address of a running viewer and its application."""
    sources = [Source(path, mailbox) for path in paths]
    sock, allowed = listening(token)
    app = make_runs_page(sources, allowed)
    with running(app, sock) as url:
        yield url, app
