"""The model card of a trained model: what it came from, what it was trained on and how well it does. Pure text.

Knows nothing of files; `agent.model_export` says whose mail it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent.grpo.config import TrainConfig
from agent.statistics import wilson

_OWN_MAIL = """## Before you share it

This model was trained on private mail. Weights can give back what they were trained on: names, addresses, amounts,
whole sentences. Share it only with people who may read that mail."""

_NO_OWN_MAIL = """## Privacy

This model was trained on {kind} mail only. A model that is trained further on your own mail can give back what it has
read: do not publish one."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card is written from: the run's configuration, the reports of its summary, and what the weights are."""

    config: TrainConfig
    reports: tuple[dict[str, Any], ...]
    is_adapter: bool
    is_own_mail: bool


def model_card(facts: CardFacts) -> str:
    """Return the card as Markdown with the metadata that the hub reads."""
    config = facts.config
    sections = [
        _metadata(facts),
        f"# {config.run.name}",
        "A small agent that answers questions about an inbox with three tools (search, read, answer), trained by "
        "reinforcement learning with mailsleuth. `agent.json` says with which prompt and limits it wants to be asked.",
        _recipe(facts),
        _results(facts.reports),
        "## Licence\n\nThe base model's licence binds this model too: look it up before you pass the model on. "
        "mailsleuth's own parts are Apache-2.0.",
        _OWN_MAIL if facts.is_own_mail else _NO_OWN_MAIL.format(kind=_kind_of_mail(config)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(facts: CardFacts) -> str:
    """Return the header; a base that is a folder of this machine is not named in it."""
    base = facts.config.model.path.as_posix()
    lines = ["---", f"library_name: {'peft' if facts.is_adapter else 'transformers'}", "pipeline_tag: text-generation"]
    if _is_hub_name(facts.config):
        lines.append(f"base_model: {json.dumps(base)}")
    return "\n".join([*lines, "tags: [mailsleuth, agent, email, reinforcement-learning]", "---"])


def _recipe(facts: CardFacts) -> str:
    config = facts.config
    model, base = config.model, config.model.path.as_posix() if _is_hub_name(config) else config.model.path.name
    trained = f"a LoRA adapter of rank {model.lora_rank}" if model.lora_rank else "all weights"
    rows = [
        ("base model", f"`{base}`"),
        ("trained", f"{trained}, {model.dtype}" + (", base in 4 bits" if model.load_in_4bit else "")),
        ("mail", _kind_of_mail(config)),
        ("reward", f"mode `{config.reward.mode}`"),
        ("loss", f"`{config.loss.kind}`, {config.grpo.steps} steps, learning rate {config.grpo.learning_rate:g}"),
        ("seed", str(config.run.seed)),
    ]
    return "## Training\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _results(reports: tuple[dict[str, Any], ...]) -> str:
    shown = [report for report in reports if report.get("role") in ("base", "trained")]
    if not shown:
        return ""
    rows = [_result(report) for report in shown]
    head = "## Results\n\nQuestions about inboxes that were not trained on, each asked once.\n\n"
    return head + "| policy | right | 95 % interval | turns |\n|---|---|---|---|\n" + "\n".join(rows)


def _result(report: dict[str, Any]) -> str:
    low, high = wilson(report["num_correct"], report["num_questions"])
    right = f"{report['accuracy']:.1%} of {report['num_questions']}"
    return f"| {report['role']} | {right} | {low:.1%} to {high:.1%} | {report['mean_turns']:.1f} |"


def _kind_of_mail(config: TrainConfig) -> str:
    if config.data.mailbox is None:
        return "invented (synthetic inboxes)"
    return "public" if config.data.mailbox.is_public else "private"


def _is_hub_name(config: TrainConfig) -> bool:
    path = config.model.path
    return len(path.parts) == 2 and not path.is_absolute() and not path.exists()
