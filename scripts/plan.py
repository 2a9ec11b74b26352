"""Plan a larger run: how many trainer cards and servers, and what 1,000 steps cost, from token counts and hardware.

Token counts are measured (`python -m scripts.plan --tokenizer FOLDER`); rates are estimated from what a card can do at
best and how much of that is usually reached. Pure but for the measurement. Knows nothing of providers.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.arena import Arena


@dataclass(frozen=True, slots=True)
class Episode:
    """Mean tokens of one rollout, and its turns."""

    prompt: float
    observations: float
    actions: float
    turns: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A model: its weights, and the bytes that one token of context takes in the cache."""

    name: str
    num_weights: float
    cache_bytes: float


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: peak rates, the share of them that is reached, and its price."""

    name: str
    flops: float
    bytes_per_second: float
    dollars_per_hour: float
    flops_share: float = 0.35
    bytes_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """One step's times with so many trainer cards and servers, and the price of 1,000 steps."""

    num_trainers: int
    num_servers: int
    train_seconds: float
    sample_seconds: float
    dollars: float


# The demonstrator on 100 questions about 800 invented mails: default limits, tools and prompt, Qwen2.5's tokenizer
MEASURED = Episode(prompt=968, observations=834, actions=122, turns=4.86)
TALKATIVE = 4  # a chat model writes some sentences around each call
SHAPES = (
    Shape("7B (Qwen2.5)", 7.6e9, 2 * 2 * 28 * 4 * 128),
    Shape("14B (Qwen2.5)", 14.8e9, 2 * 2 * 48 * 8 * 128),
)
CARD = Card("H100 SXM", 989e12, 3.35e12, 2.5)
NUM_ROLLOUTS, GROUP_SIZE, MAX_CARDS = 128, 8, 8


def train_seconds(shape: Shape, episode: Episode, num_rollouts: int, card: Card) -> float:
    """Return the seconds of a LoRA step on one card: forward, the same again (checkpointing), and back to activations.

    2 floating point operations a weight and token each; the gradients of frozen weights are not computed.
    """
    num_tokens = num_rollouts * (episode.prompt + episode.observations + episode.actions)
    return num_tokens * 6 * shape.num_weights / (card.flops * card.flops_share)


def sample_seconds(
    shape: Shape, episode: Episode, num_rollouts: int, group_size: int, num_servers: int, card: Card
) -> float:
    """Return the seconds in which `num_servers` cards play a step's rollouts, all at once.

    A decoding step reads all weights and all caches; prompts are computed once a group, observations once.
    """
    rows = num_rollouts / num_servers
    context = episode.prompt + episode.observations / 2
    num_bytes = 2 * shape.num_weights + rows * context * shape.cache_bytes
    decoding = num_bytes / (card.bytes_per_second * card.bytes_share)
    new_tokens = rows * (episode.prompt / group_size + episode.observations)
    prefill = new_tokens * 2 * shape.num_weights / (card.flops * card.flops_share)
    return episode.actions * decoding + prefill


def plan(
    shape: Shape,
    episode: Episode,
    card: Card = CARD,
    *,
    num_rollouts: int = NUM_ROLLOUTS,
    group_size: int = GROUP_SIZE,
    max_staleness: int = 1,
) -> Plan:
    """Return the cheapest division of at most MAX_CARDS cards; of two as cheap, the quicker one."""
    alone = train_seconds(shape, episode, num_rollouts, card)

    def priced(num_trainers: int, num_servers: int) -> Plan:
        training = alone / num_trainers
        sampling = sample_seconds(shape, episode, num_rollouts, group_size, num_servers, card)
        step = max(training, sampling) if max_staleness else training + sampling
        dollars = 1000 * step / 3600 * (num_trainers + num_servers) * card.dollars_per_hour
        return Plan(num_trainers, num_servers, training, sampling, dollars)

    divisions = [(num, servers) for num in range(1, MAX_CARDS) for servers in range(1, MAX_CARDS - num + 1)]
    return min((priced(*division) for division in divisions), key=lambda one: (round(one.dollars), one.train_seconds))


def section() -> str:
    """Return the part of scripts/configs/README.md about larger runs, as Markdown."""
    header = ("model", "sampled tokens", "`grpo.max_staleness`", "trainers", "servers", "training", "sampling", "cost")
    table = "".join(f"| {' | '.join(row)} |\n" for row in (header, ["---"] * len(header), *_rows()))
    above, below = (
        textwrap.fill(text.format(rollouts=NUM_ROLLOUTS, group=GROUP_SIZE, measured=_counts(MEASURED), card=CARD), 118)
        for text in (_CARDS, _BASIS.replace("TALKATIVE", str(TALKATIVE)))
    )
    return f"\n## Larger runs\n\n{textwrap.fill(_HOW, 118)}\n\n{above}\n\n{table}\n{below}\n"


def _rows() -> Iterator[tuple[str, ...]]:
    for shape in SHAPES:
        for factor in (1, TALKATIVE):
            actions = MEASURED.actions * factor
            for staleness in (0, 1):
                found = plan(shape, replace(MEASURED, actions=actions), max_staleness=staleness)
                numbers = (actions, staleness, found.num_trainers, found.num_servers)
                seconds = (f"{found.train_seconds:.0f} s", f"{found.sample_seconds:.0f} s", f"${found.dollars:.0f}")
                yield (shape.name, *(f"{number:.0f}" for number in numbers), *seconds)


def _counts(episode: Episode) -> str:
    return (
        f"{episode.prompt:.0f} of prompt, {episode.observations:.0f} of tool results, {episode.actions:.0f} sampled "
        f"in {episode.turns:.2f} turns"
    )


_HOW = (
    'Any number of trainer cards, each with one process and the whole model (or, `grpo.strategy = "shard"`, a copy of '
    "its weights and a part of what training adds), and any number of vLLM servers: set "
    '`sampling.engine = "vllm"`, `sampling.servers`, and a `sampling.weights_folder` that all of them see. '
    "`mailsleuth serve --config FILE` prints how to start a server for a configuration. With several "
    "trainers: `torchrun --nproc-per-node N -m scripts.train_email_agent --config FILE`. `skypilot.yaml` and "
    "`slurm.sh` here start two trainers with one server; `slurm_nodes.sh` starts torchrun on two nodes that meet over "
    "c10d and train in shards, on a disk that all nodes see. Shards were run on CPUs only (gloo), never on CUDA with "
    "nccl. They take neither 4-bit weights nor the loader unsloth, and a run of shards that is given up amid a step "
    "goes on from its last regular checkpoint."
)
_CARDS = (
    "The cheapest division of at most 8 cards, and the price of 1,000 steps of {rollouts} rollouts (groups of "
    "{group}), LoRA on all layers; tokens are those sampled for one rollout, times those of one step:"
)
_BASIS = (
    "Measured: the tokens of an episode, {measured} (`python -m scripts.plan --tokenizer FOLDER`: the "
    "demonstrator on 100 questions about 800 invented mails, in Qwen2.5's tokenizer and template). Estimated, and"
    " not measured: everything else. That a chat model writes TALKATIVE times as much as the demonstrator; a "
    "card, {card.name}, that reaches {card.flops_share:.0%} of {card.flops:.3g} operations and "
    "{card.bytes_share:.0%} of {card.bytes_per_second:.3g} bytes a second; ${card.dollars_per_hour:.2f} an hour "
    "and card. Loading weights, evaluation and stragglers are left out: expect more."
)


def measure(tokenizer: Path, num_questions: int = 100) -> Episode:
    """Return the mean tokens of the demonstrator's episodes on invented mail, in a tokenizer's own chat format."""
    from agent.chat_format import ChatFormat
    from agent.policies import load_policy
    from agent.prompts import system_prompt
    from agent.rollout import rollout_many
    from inbox_env.actions import Action, ToolCall

    chat = ChatFormat.load(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        arena = _arena(Path(folder), num_questions)
        trajectories = [
            one.trajectory for one in asyncio.run(rollout_many(load_policy("demonstrator", arena.gold), arena.envs()))
        ]
        openings = [env.opening() for env in arena.envs()]
    prompts = [chat.prompt_ids(system_prompt("default", opening), opening.question) for opening in openings]
    turns = [[turn.results for turn in trajectory.turns] for trajectory in trajectories]
    said = [
        [ToolCall(result.name, result.arguments) for result in results if result.arguments is not None]
        for episode in turns
        for results in episode
    ]
    heard = [[result.content for result in results] for episode in turns for results in episode[:-1]]
    return Episode(
        prompt=fmean(map(len, prompts)),
        observations=sum(len(chat.observation_ids(contents)) for contents in heard) / len(turns),
        actions=sum(len(chat.action_ids(Action(tuple(calls)))) for calls in said) / len(turns),
        turns=fmean(map(len, turns)),
    )


def _arena(folder: Path, num_questions: int) -> Arena:
    from agent.arena import Arena
    from inbox_env.env import EnvLimits
    from inbox_env.store import build_inbox
    from inbox_env.synthetic import generate_inbox

    inbox = generate_inbox("train", 1, num_emails=800, num_questions=num_questions)
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    return Arena.open(folder / "mail.db", inbox.questions, EnvLimits())


def main() -> int:
    """Run as `python -m scripts.plan`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, help="measure the tokens of episodes with the tokenizer of a folder")
    args = parser.parse_args()
    print(_counts(measure(args.tokenizer)) if args.tokenizer else section(), end="\n" if args.tokenizer else "")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
