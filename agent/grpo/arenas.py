"""The arenas of a configuration: training, dev and test questions with their inboxes, which never overlap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.arena import Arena
from agent.grpo.config import DataConfig, InboxesConfig, TrainConfig
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.questions import Question, read_questions
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.synthetic.names import Split

CACHE = Path("data/cache")
_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def open_arena(data: DataConfig, split: Split, limits: EnvLimits) -> Arena:
    """Return the arena of one split; raises UsageError when splits share an inbox or a file is missing."""
    if data.synthetic is not None:
        mailbox, questions = ensure_mailbox(_recipe(data, split), CACHE)
        return Arena.open(mailbox, questions, limits)
    assert data.mailbox is not None, "the configuration holds one of the two"
    files = {name: read_questions(getattr(data.mailbox, name)) for name in _SPLITS}
    _check_apart(files)
    return Arena.open(data.mailbox.path, files[split], limits)


def check_labels(config: TrainConfig, train: Arena, held_out: Iterable[Arena]) -> None:
    """Raise UsageError where questions lack the label that they are graded or imitated by."""
    held_out = tuple(held_out)
    asks_mails = any(question.answer_type == "mail" for arena in (train, *held_out) for question in arena.questions)
    if asks_mails and config.reward.kind == "ladder" and config.reward.mode == "answer":
        what, how = (
            "some questions have no answer text, only a mail",
            'set reward.mode = "find", or generate with --answers',
        )
        raise UsageError(51, what, where="data.mailbox", next_step=how)
    if any(not question.is_labelled for arena in held_out for question in arena.questions):
        raise UsageError(48, "dev and test questions need labels", where="data.mailbox", next_step="give their answers")
    if all(question.is_labelled for question in train.questions):
        return
    next_step = "label them, or only rank them: reward.kind"
    if config.reward.kind == "ladder":
        raise UsageError(49, "training questions without labels", where="data.mailbox", next_step=next_step)
    if config.warm_start.steps and config.warm_start.source in ("demonstrator", "recall"):
        next_step = 'set warm_start.source = "own" or warm_start.steps = 0'
        raise UsageError(50, "the demonstrator needs labelled questions", where="data.mailbox", next_step=next_step)


def _recipe(data: DataConfig, split: Split) -> SyntheticRecipe:
    inboxes: InboxesConfig = getattr(data.synthetic, split)
    injected = data.injected if split == "train" else 0.0
    return SyntheticRecipe(split, inboxes.seeds, inboxes.num_emails, inboxes.num_questions, injected)


def _check_apart(files: dict[Split, list[Question]]) -> None:
    seen: dict[str, str] = {}
    for split, questions in files.items():
        for inbox in {question.inbox for question in questions}:
            if seen.setdefault(inbox, split) != split:
                raise UsageError(
                    47,
                    f"inbox {inbox!r} is in {seen[inbox]} and in {split}",
                    where="data.mailbox",
                    next_step="split by inbox: what is evaluated must never have been trained on",
                )
