"""A run in a process of its own that can be killed: what the tests of crashes start again and again.

Imported by the processes that they fork from one server, so that a start costs no import.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch

from agent.arena import Arena
from agent.grpo.trainer import GrpoTrainer
from agent.model_loading import load_trainee
from inbox_env.synthetic import generate_inbox
from rewards.base import Reward
from tests.agent.tiny import LIMITS, make_config

STEPS = 8


def by_letters(trajectory, _question):
    """A reward that differs between any two rollouts, so that every step changes the weights."""
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def make_trainer(site: Path, folder: Path, **sections):
    """Return the trainer of a run in `folder`: base model and mailbox are in `site`."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    model = {"path": str(site / "base"), **sections.pop("model", {})}
    grpo = {"steps": STEPS, **sections.pop("grpo", {})}
    settings = {"checkpoint_every": 1, "keep_checkpoints": 2, **sections.pop("run", {})}
    config = make_config(folder, model=model, grpo=grpo, run=settings, **sections)
    questions = generate_inbox("train", 1, num_emails=100, num_questions=20).questions
    arena = Arena.open(site / "mail.db", questions, LIMITS)
    loaded = load_trainee(config.model, seed=config.run.seed)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, arena, arena, folder)
    trainer.grader.reward_fn = by_letters
    return trainer


def train(site: Path, run: Path, rank: int = 0, kill_at_sync: int = 0) -> None:
    """Go on with a run to its end, or until the `kill_at_sync`-th file that is put on disk: then the process dies."""
    left = [kill_at_sync]
    sync, rename = os.fsync, Path.rename

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_sync(descriptor: int) -> None:
        count()
        sync(descriptor)

    def counted_rename(self: Path, target: Path) -> Path:
        count()
        return rename(self, target)

    os.fsync, Path.rename = counted_sync, counted_rename  # type: ignore[method-assign]
    trainer = make_trainer(site, run, model={"lora_rank": rank})
    trainer.resume()
    trainer.train()
