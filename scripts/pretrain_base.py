"""Train the laptop base model from scratch: tokenizer, copy drills, warm start on demonstrations.

Resumable: the same command goes on from the newest checkpoint. Uses invented mail of the training split only
(and of the vocabulary split for the tokenizer).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from inbox_env.env import EnvLimits
from inbox_env.rendering import ResultStyle
from inbox_env.synthetic import generate_inbox
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.synthetic.names import NamePool

NAME_COUNTS = (("surname", 4000), ("project", 4000), ("given", 400), ("town", 400), ("place", 400))
CACHE, CURVE = Path("data/cache"), "curve.jsonl"
LAPTOP_LIMITS = EnvLimits(max_turns=8, style=ResultStyle(hits_per_page=5, snippet_chars=0, show_addresses=False))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("data/base"), help="folder of the finished model")
    parser.add_argument("--run", type=Path, default=Path("data/runs/pretrain"), help="folder of checkpoints and curve")
    parser.add_argument("--steps", type=int, default=10400, help="optimiser steps in all")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and data")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--inboxes", type=int, default=60, help="number of training inboxes")
    parser.add_argument("--questions", type=int, default=3000, help="questions of each inbox")
    parser.add_argument("--hidden", type=int, default=128, help="width of the model")
    parser.add_argument("--layers", type=int, default=4, help="layers of the model")
    parser.add_argument("--vocab", type=int, default=4096, help="size of the vocabulary")
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread that share every step")
    parser.add_argument("--checkpoint-every", type=int, default=300, help="steps between checkpoints")


def run(args: argparse.Namespace) -> int:
    """Train or go on training; write the model folder at the end."""
    from torch.multiprocessing.spawn import spawn

    from agent.chat_format import ChatFormat

    tokenizer = args.run / "tokenizer"
    if not tokenizer.is_dir():  # made once a run: a resumed run must not number its tokens anew
        ChatFormat(_tokenizer(args)).save(tokenizer)
    ensure_mailbox(_recipe(args), CACHE)  # before the processes start, so that they do not all make it
    with tempfile.TemporaryDirectory() as meeting:
        arguments = (args, Path(meeting) / "rendezvous")
        spawn(_train_in_process, arguments, args.processes, daemon=True)  # type: ignore[no-untyped-call]  # torch's
    return 0


def _train_in_process(rank: int, args: argparse.Namespace, rendezvous: Path) -> None:
    """Train as process `rank`; the first one keeps the curve and the checkpoints, and publishes."""
    import torch

    from agent.base_model import make_base_model
    from agent.chat_format import ChatFormat
    from agent.data_parallel import joined
    from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint
    from agent.segment_attention import enable_segment_attention

    torch.set_num_threads(1)
    chat = ChatFormat.load(args.run / "tokenizer")
    model = make_base_model(args.vocab, hidden=args.hidden, layers=args.layers, seed=args.seed)
    enable_segment_attention(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    state: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    if newest := latest_checkpoint(args.run):
        state = load_checkpoint(newest, model, optimizer)
        print(f"process {rank + 1} of {args.processes} resumes from {newest.name}")
    with joined(rank, args.processes, rendezvous):
        _train(args, rank, model, optimizer, _warm_start(args, chat), state)
    if rank == 0:
        _publish(args, model, chat, state)


def _tokenizer(args: argparse.Namespace) -> Any:
    from agent.base_tokenizer import train_tokenizer

    inboxes = [generate_inbox("vocabulary", seed) for seed in range(1, 9)]
    mails = [f"From: {mail.sender.name}\n{mail.subject}\n\n{mail.body}" for box in inboxes for mail in box.emails]
    questions = [question.question for box in inboxes for question in box.questions]
    numbers = [" ".join(str(number) for number in range(1000))] * 20
    names = [" " + name for sort, count in NAME_COUNTS for name in _names(sort, count)]
    return train_tokenizer(mails + questions + numbers + names * 5, args.vocab)


def _names(sort: str, count: int) -> list[str]:
    pool = NamePool("vocabulary", Random(0))
    return [pool.invent(sort) for _ in range(count)]


def _warm_start(args: argparse.Namespace, chat: Any) -> Any:
    from agent.arena import Arena
    from agent.renaming import Renaming
    from agent.warm_start import WarmStart, WarmStartMix

    mailbox, questions = ensure_mailbox(_recipe(args), CACHE)
    arena = Arena.open(mailbox, questions, LAPTOP_LIMITS)
    renaming = Renaming.of_invented_mail(chat)
    return WarmStart(chat, args.vocab, arena, prompt="laptop", mix=WarmStartMix(), seed=args.seed, renaming=renaming)


def _recipe(args: argparse.Namespace) -> SyntheticRecipe:
    return SyntheticRecipe("train", tuple(range(1, args.inboxes + 1)), num_questions=args.questions)


def _train(
    args: argparse.Namespace, rank: int, model: Any, optimizer: Any, lessons: Any, state: dict[str, Any]
) -> None:
    from agent.grpo.checkpoint import save_checkpoint
    from agent.grpo.metrics import MetricsWriter
    from agent.sft import imitate

    curve = MetricsWriter(args.run / CURVE, after_step=state["step"]) if rank == 0 else None
    for step in range(state["step"] + 1, args.steps + 1):
        started = time.monotonic()
        rate = learning_rate(step, args.steps, args.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        done = imitate(model, optimizer, lessons.step(step, rank), context_weight=lessons.context_weight(step))
        seconds = time.monotonic() - started
        state["step"], state["tokens"] = step, state["tokens"] + done.num_tokens
        state["seconds"] += seconds
        if curve is None:
            continue
        row = {"step": step, "loss": done.loss, "grad_norm": done.grad_norm, "learning_rate": rate}
        curve.write(row | {"trained_tokens": done.num_tokens, "seconds": seconds})
        if step % args.checkpoint_every == 0 or step == args.steps:
            save_checkpoint(args.run, step, model, optimizer, {k: v for k, v in state.items() if k != "step"})


def learning_rate(step: int, steps: int, highest: float, warm_up: int = 50) -> float:
    """Return the rate at `step`: linear up, constant, and from two fifths on linear down to a twentieth."""
    if step <= warm_up:
        return highest * step / warm_up
    left = (steps - step) / max(1.0, steps * 0.6)
    return highest * (0.05 + 0.95 * min(1.0, left))


def _publish(args: argparse.Namespace, model: Any, chat: Any, state: dict[str, Any]) -> None:
    from agent.agent_card import AgentCard
    from agent.grpo.metrics import read_metrics
    from agent.model_folder import LoadedModel, save_model

    card = AgentCard(prompt="laptop", limits=LAPTOP_LIMITS, max_new_tokens=64, max_context=1024)
    save_model(args.out, LoadedModel(model, chat, card))
    curve = list(read_metrics(args.run / CURVE))
    (args.out / "README.md").write_text(_model_card(args, model, state, curve), encoding="utf-8")
    print(f"{args.out}: {state['tokens']:,} tokens, {state['seconds']:.0f} s")


def _model_card(args: argparse.Namespace, model: Any, state: dict[str, Any], curve: list[dict[str, float]]) -> str:
    """Return the model card: recipe, seed, cost and learning curve as they were."""
    template = (files("scripts") / "templates" / "model_card.md").read_text(encoding="utf-8")
    width = max(1, len(curve) // 20)
    blocks = [curve[start : start + width] for start in range(0, len(curve), width)]
    seen = list(accumulate(row["trained_tokens"] for row in curve))
    rows = [
        f"| {block[-1]['step']} | {seen[min(number * width, len(seen)) - 1] / 1e6:.2f} M | {_mean_loss(block):.2f} |"
        for number, block in enumerate(blocks, 1)
    ]
    return template.format(
        parameters=f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        layers=args.layers,
        hidden=args.hidden,
        vocab=args.vocab,
        steps=args.steps,
        seed=args.seed,
        processes=args.processes,
        inboxes=args.inboxes,
        questions=args.questions,
        learning_rate=args.learning_rate,
        tokens=f"{state['tokens']:,}",
        minutes=round(state["seconds"] / 60),
        curve="\n".join(rows),
    )


def _mean_loss(block: list[dict[str, float]]) -> float:
    return sum(row["loss"] for row in block) / len(block)
