"""Train an agent to find the right email.

Evaluates the base model and the baselines on test questions, trains with GRPO on training inboxes, evaluates again,
and writes a run folder with metrics, checkpoints, the trained model, summary.json and report.html.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from inbox_env.questions import spread_evenly
from scripts.consent import add_consent, confirm_sending
from scripts.samples import write_samples

if TYPE_CHECKING:
    from agent.arena import Arena
    from agent.evaluate import PolicyReport
    from agent.evaluation_folder import EvaluationFolder
    from agent.grpo.config import TrainConfig
    from agent.grpo.distributed import Peers
    from agent.grpo.trainer import GrpoTrainer
    from agent.model_folder import LoadedModel
    from agent.sft import Imitation
    from agent.tracking import Tracker
    from inbox_env.questions import Question

_PACKAGES = ("mailsleuth", "torch", "transformers", "tokenizers", "numpy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file, see scripts/configs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one key; repeatable")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--clean", action="store_true", help="empty the run folder first")
    parser.add_argument("--force", action="store_true", help="resume with a changed configuration, model or data")
    parser.add_argument("--max-memory", type=float, metavar="GIB", help="refuse to start above this; run.max_memory_gb")
    parser.add_argument("--control", action="store_true", help="also train the supervised control (as long again)")
    add_consent(parser)


def run(args: argparse.Namespace) -> int:
    """Train and report; returns 0."""
    from agent.grpo.config import load_config
    from agent.grpo.distributed import joined_by_torchrun
    from agent.recorded_plays import check_files
    from agent.run_folder import open_run
    from agent.tracking import check_tracker

    limit = [f"run.max_memory_gb={args.max_memory}"] if args.max_memory is not None else []
    config, console = load_config(args.config, [*args.set, *limit]), Console()
    with joined_by_torchrun(config.model.device, patience_seconds=config.run.peer_seconds) as peers:
        if not peers.is_first:
            _follow(config, peers)
            return 0
        check_tracker(config.track)
        _check_reward(config, is_agreed=args.yes_send)
        if not args.resume:  # a warm start that was made needs its files no more
            check_files(config.warm_start.files)
        with open_run(config, is_resuming=args.resume, is_clean=args.clean, is_forced=args.force) as folder:
            _check_model(config, peers, console)
            _run(config, folder, peers, with_control=args.control, is_forced=args.force, console=console)
    return 0


def _check_reward(config: TrainConfig, *, is_agreed: bool) -> None:
    """Refuse a reward or a judge that cannot be used, and to send mail without a yes, before anything is made."""
    from agent.make_grader import make_grader

    make_grader(config.reward, config.judge)
    confirm_sending((), is_agreed=is_agreed, judge=config.judge, is_ranking=config.reward.kind == "ruler")


def _follow(config: TrainConfig, peers: Peers) -> None:
    """Train with the first process of a torchrun, which alone evaluates and writes."""
    import torch

    from agent.grpo.arenas import open_arena
    from agent.grpo.stop_signals import orderly_stop
    from agent.grpo.trainer import GrpoTrainer

    if config.model.threads:
        torch.set_num_threads(config.model.threads)
    folder, quiet = config.run.out / config.run.name, Console(quiet=True)
    peers.first(lambda: None)  # the first has opened the run and made what is trained from
    train, dev = (open_arena(config.data, split, config.env.limits()) for split in ("train", "dev"))
    loaded = _base_model(config, folder, train, quiet)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, train, dev, folder, peers)
    trainer.resume()
    with orderly_stop() as stop:
        trainer.train(stop=stop)


def _check_model(config: TrainConfig, peers: Peers, console: Console) -> None:
    """Refuse what this machine cannot do, before anything is loaded."""
    from agent.devices import free_memory_gb, resolve_device
    from agent.grpo.memory_plan import check_memory, plan_memory
    from agent.model_loading import check_loader, find_model
    from agent.model_shape import read_shape

    device = resolve_device(config.model.device)
    check_loader(config.model)
    source = find_model(config.model.path, allow_download=config.model.allow_download)
    plan = plan_memory(config, read_shape(source), peers.size)
    num_sharing = 1 if device.startswith("cuda") else peers.num_here  # every process has a card of its own
    console.print(plan.line(num_sharing))
    check_memory(plan, config.run.max_memory_gb, num_sharing)
    if plan.machine_gb(num_sharing) > (free := free_memory_gb(device)):
        console.print(f"only {free:.1f} GiB are free: the run may end for want of memory (--max-memory refuses it)")


def _run(
    config: TrainConfig, folder: Path, peers: Peers, *, with_control: bool, is_forced: bool, console: Console
) -> None:
    import torch

    from agent.evaluation_folder import EvaluationFolder
    from agent.grpo.arenas import check_labels, open_arena
    from agent.grpo.trainer import GrpoTrainer
    from agent.model_check import check_trainable
    from agent.model_folder import LoadedModel, save_model
    from agent.model_loading import find_model
    from agent.run_folder import check_identity
    from agent.run_identity import run_identity
    from agent.tracking import open_tracker

    started = time.monotonic()
    if config.model.threads:
        torch.set_num_threads(config.model.threads)
    limits = config.env.limits()
    train, dev, test = (open_arena(config.data, split, limits) for split in ("train", "dev", "test"))
    check_labels(config, train, (dev, test))
    identity = run_identity(find_model(config.model.path), config.data, (train, dev, test))
    check_identity(folder, identity, is_forced=is_forced)
    loaded = _base_model(config, folder, train, console)
    check_trainable(loaded.model, config.sampling.max_context)
    peers.first(lambda: None)  # lets the others go on
    questions = spread_evenly(test.questions, config.eval.num_test_questions)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, train, dev, folder, peers)
    evaluation = EvaluationFolder(folder / "evaluation", test, "test", config.reward.mode, grader=trainer.grader)
    console.print(
        f"{folder}: {config.model.path}, {len(train.questions)} training questions, {len(questions)} for test"
    )
    reports = _evaluate_before(config, trainer, evaluation, test, questions)
    trainer.resume()
    if trainer.step < config.grpo.steps:  # what an earlier sitting's last model played is out of date
        evaluation.forget("trained")
        evaluation.forget("control")
    with open_tracker(config, folder) as tracker:
        _train(trainer, tracker, console)
    card = _card(config, loaded)
    save_model(folder / "model", LoadedModel(loaded.model, loaded.chat, card))
    reports.append(_play(trainer, evaluation, "trained", questions))
    if with_control:
        reports.append(_control(config, trainer.seconds, train, evaluation, test, questions, console))
    write_samples(folder / "samples.jsonl", trainer.grader, evaluation, questions)
    _write_summary(folder, config, trainer, reports, time.monotonic() - started)
    _write_card(folder, config, reports)
    _report(folder, console)


def _base_model(config: TrainConfig, folder: Path, train: Arena, console: Console) -> LoadedModel:
    """Return the model that reinforcement learning starts from, warm-started (once a run) if so configured."""
    from agent.imitation import warm_start
    from agent.model_folder import save_model

    if not config.warm_start.steps:
        return _load(config)
    warm = folder / "warm_start"
    if not warm.is_dir():
        loaded = _load(config)
        console.print(f"warm start: {config.warm_start.steps} steps of imitation")
        warm_start(config, loaded, train, _progress(config.warm_start.steps, console), console.print)
        partial = warm.with_suffix(".partial")
        save_model(partial, loaded)
        partial.rename(warm)
    return _load(config, started=warm)


def _progress(num_steps: int, console: Console) -> Callable[[int, Imitation], None]:
    """Return what prints the loss ten times in `num_steps`."""

    def show(step: int, imitated: Imitation) -> None:
        if step % max(1, num_steps // 10) == 0:
            console.print(f"  step {step} of {num_steps}: loss {imitated.loss:.3f} nats a token")

    return show


def _load(config: TrainConfig, started: Path | None = None) -> LoadedModel:
    from agent.model_loading import load_trainee

    return load_trainee(config.model, seed=config.run.seed, max_context=config.sampling.max_context, started=started)


def _evaluate_before(
    config: TrainConfig, trainer: GrpoTrainer, evaluation: EvaluationFolder, test: Arena, questions: list[Question]
) -> list[PolicyReport]:
    """Evaluate everything that does not learn, with the model as it is before training."""
    from agent.policies import load_policy
    from agent.policies.heuristics import HEURISTICS
    from agent.policies.model_reader import read_with

    reports = [_play(trainer, evaluation, "base", questions)]
    model = trainer.policy("base", seed=config.run.seed)
    for name in HEURISTICS:
        with trainer.evaluating():
            reports.append(evaluation.play(read_with(name, model, test.limits), "baseline", questions))
        perfect = load_policy(name, test.gold)
        reports.append(evaluation.play(perfect, "baseline", questions, name=f"{name} (perfect reader)"))
    reports.append(evaluation.play(load_policy("demonstrator", test.gold), "demonstrator", questions))
    reports.append(evaluation.play(load_policy("oracle", test.gold), "oracle", questions))
    return reports


def _play(trainer: GrpoTrainer, evaluation: EvaluationFolder, role: Any, questions: list[Question]) -> PolicyReport:
    config = trainer.config
    policy = trainer.policy(role, seed=config.run.seed)
    with trainer.evaluating():
        return evaluation.play(policy, role, questions, concurrency=config.sampling.max_rows)


def _train(trainer: GrpoTrainer, tracker: Tracker, console: Console) -> None:
    from agent.grpo.stop_signals import orderly_stop

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("step {task.completed}/{task.total}  {task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=trainer.config.grpo.steps, completed=trainer.step)

        def show(row: dict[str, float]) -> None:
            tracker.log(row)
            text = f"reward {row['reward_mean']:+.2f}  right {row['accuracy']:.0%}  turns {row['num_turns_mean']:.1f}"
            if "eval_accuracy" in row:
                text += f"  held-out {row['eval_accuracy']:.0%}"
                console.print(f"step {int(row['step'])}: {text}")
            progress.update(task, completed=row["step"], description=text)

        with orderly_stop() as stop:
            trainer.train(show, stop)


def _control(
    config: TrainConfig,
    seconds: float,
    train: Arena,
    evaluation: EvaluationFolder,
    test: Arena,
    questions: list[Question],
    console: Console,
) -> PolicyReport:
    """Train the supervised control for as long as GRPO took, and play it."""
    from agent.grpo.trainer import GrpoTrainer
    from agent.imitation import train_control

    loaded = _load(config)
    console.print(f"control: {seconds:.0f} s of further supervised training")
    train_control(config, loaded, train, seconds)
    trainer = GrpoTrainer(config, loaded.model, loaded.chat, train, test, evaluation.folder)
    return _play(trainer, evaluation, "control", questions)


def _card(config: TrainConfig, loaded: LoadedModel) -> Any:
    from agent.agent_card import AgentCard

    return AgentCard(
        prompt=config.model.prompt,
        limits=config.env.limits(),
        max_new_tokens=config.sampling.max_new_tokens,
        max_context=config.sampling.max_context,
        enable_thinking=loaded.chat.enable_thinking,
    )


def _write_summary(
    folder: Path, config: TrainConfig, trainer: GrpoTrainer, reports: list[PolicyReport], total_seconds: float
) -> None:
    summary = {
        "policies": [report.model_dump(mode="json") for report in reports],
        "train": {
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "total_seconds": round(total_seconds, 1),
            "generated_tokens": trainer.generated_tokens,
            "trained_tokens": trainer.trained_tokens,
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "seed": config.run.seed,
            "mode": config.reward.mode,
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _write_card(folder: Path, config: TrainConfig, reports: list[PolicyReport]) -> None:
    from agent.model_card import CardFacts
    from agent.model_export import is_own_mail, write_model_card

    rows = tuple(report.model_dump(mode="json") for report in reports)
    facts = CardFacts(config, rows, bool(config.model.lora_rank), is_own_mail(folder))
    write_model_card(folder / "model", facts)


def _report(folder: Path, console: Console) -> None:
    from scripts.report import policies_table, write_report
    from scripts.run_folder import read_run_folder

    write_report(folder)
    console.print(policies_table(read_run_folder(folder).summary))
    console.print(f"report: {folder / 'report.html'}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":  # torchrun --nproc-per-node N -m scripts.train_email_agent --config FILE
    import sys

    from scripts.cli import main

    raise SystemExit(main(["train", *sys.argv[1:]]))
