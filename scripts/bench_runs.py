"""A run of many trajectories, made for measuring how soon the viewer shows it and how fast it filters.

The episodes are some that scripts really played in an invented inbox, in groups drawn again and again. The scripts are
taken that search and read most: how long their lines are is in the figures. Knows nothing of how time is measured.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from agent.policies import load_policy
from agent.rollout import rollout
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.trajectory import Trajectory, write_trajectories
from rewards.ladder import LadderConfig, make_ladder

GROUP_SIZE, GROUPS_PER_STEP = 8, 16
_RECIPE = SyntheticRecipe("dev", (1,), num_emails=200, num_questions=40)
_PLAYERS = ("demonstrator", "keywords-bm25", "keywords-retry")


def write_run(run: Path, num_trajectories: int, cache: Path) -> Path:
    """Return the run folder `run`, written anew, with so many trajectories in steps of 16 groups of 8."""
    shutil.rmtree(run, ignore_errors=True)
    (run / "trajectories").mkdir(parents=True)
    mailbox, questions = ensure_mailbox(_RECIPE, cache)
    asked = str(mailbox.with_suffix(".jsonl"))
    own = {"path": str(mailbox), "train": asked, "dev": asked, "test": asked}
    config = {"data": {"mailbox": own}, "grpo": {"group_size": GROUP_SIZE}}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    episodes = _again(asyncio.run(_play(mailbox, questions)), num_trajectories)
    step, size = 0, GROUP_SIZE * GROUPS_PER_STEP
    while part := list(islice(episodes, size)):
        step += 1
        write_trajectories(run / "trajectories" / f"step-{step:06d}.jsonl", part)
        with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "reward_mean": step / 100, "accuracy": min(1.0, step / 100)}) + "\n")
    return run


async def _play(mailbox: Path, questions: list[Question]) -> list[list[Trajectory]]:
    """Return what each player did with each question, graded."""
    gold = {question.id: question for question in questions}
    inbox, ladder = Inbox.open(mailbox, questions[0].inbox), make_ladder(LadderConfig())
    policies = [load_policy(name, gold) for name in _PLAYERS]
    found = []
    for question in questions:
        members = []
        for policy in policies:
            played = (await rollout(policy, InboxEnv(inbox, question, EnvLimits()))).trajectory
            reward = ladder(played, question)
            members.append(played.model_copy(update={"reward": reward.value, "reward_parts": reward.parts}))
        found.append(members)
    return found


def _again(played: list[list[Trajectory]], count: int) -> Iterator[Trajectory]:
    """Yield so many episodes, in groups of one question."""
    random = Random(0)
    for _ in range(0, count, GROUP_SIZE):
        members = random.choice(played)
        yield from (random.choice(members) for _ in range(min(GROUP_SIZE, count)))
        count -= GROUP_SIZE
