"""The mail behind a run, and the questions that were asked of it: found by the run's configuration, or given.

What is not found is missing, with a note: a replay then shows what its trajectory recorded. Nothing is made here: the
invented inboxes of a run are looked for where they were cached. Knows nothing of trajectories.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inbox_env.errors import MailsleuthError, UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question, read_questions
from inbox_env.synthetic.mailbox import SyntheticRecipe, cached_files
from scripts.playground.library import Library

CACHE = Path("data/cache")
SPLITS = ("train", "dev", "test")
_RECIPE = TypeAdapter(SyntheticRecipe)


class RunMail:
    """Inboxes by name and questions by id, of one or more mailbox files."""

    def __init__(self, libraries: Sequence[Library], questions: Mapping[str, Question], note: str = "") -> None:
        self._libraries, self.questions, self.note = list(libraries), questions, note
        self._by_inbox = {info.name: library for library in reversed(self._libraries) for info in library.infos()}

    def inbox(self, name: str) -> Inbox:
        """Return one inbox; raises UsageError when it was not found."""
        if name not in self._by_inbox:
            raise UsageError(7, f"the mail of inbox {name!r} was not found", next_step="give --mailbox FILE")
        return self._by_inbox[name].inbox(name)

    def label(self, identity: str, text: str) -> Question | None:
        """Return the question of this id and these words; the same id with other words is another question."""
        found = self.questions.get(identity)
        return found if found and found.question == text else None

    def has(self, name: str) -> bool:
        """Return whether an inbox of this name was found."""
        return name in self._by_inbox

    def close(self) -> None:
        """Close the files."""
        for library in self._libraries:
            library.close()


def find_mail(
    config: Mapping[str, Any], near: Path, mailbox: Path | None = None, files: Sequence[Path] = ()
) -> RunMail:
    """Return the mail of a run that lies at `near`; raises MailsleuthError only for what was given and is not there."""
    given = {question.id: question for path in files for question in read_questions(path)}
    if mailbox is not None:
        return RunMail([Library(mailbox)], given or _questions(config, near))
    pairs = list(_places(config, near))
    libraries = [library for path, _ in pairs if (library := _opened(path))]
    return RunMail(libraries, given or _questions(config, near), "" if libraries else _missing(config))


def _missing(config: Mapping[str, Any]) -> str:
    """Return the note on mail that is not shown; it was looked for only where a configuration names it."""
    what = "The mailbox was not found" if config.get("mailbox") or config.get("data") else "No mailbox is named here"
    return f"{what}: replays show what was recorded. Start with --mailbox FILE."


def _places(config: Mapping[str, Any], near: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the mailbox and the question file of each split that a configuration names, where they are there."""
    for path in named if isinstance(named := config.get("mailbox"), list) else ():  # the settings of a benchmark
        yield Path(str(path)), Path(str(path)).with_suffix(".jsonl")
    data = section(config, "data")
    synthetic, own = section(data, "synthetic"), section(data, "mailbox")
    for split in SPLITS:
        if isinstance(synthetic.get(split), dict):
            planted = {"injected": data.get("injected", 0.0)} if split == "train" else {}
            yield from _cached({"split": split, **synthetic[split], **planted}, near)
        if isinstance(own.get(split), str) and isinstance(own.get("path"), str):
            yield Path(own["path"]), Path(own[split])


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of a configuration, empty where there is none."""
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _cached(recipe: dict[str, Any], near: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the cached files: beside the folder of runs, or below the current one."""
    try:
        known = _RECIPE.validate_python(recipe)
    except ValidationError:
        return
    for cache in (CACHE, near.resolve().parent.parent / "cache", near.resolve().parent / CACHE):
        mailbox, questions = cached_files(known, cache)
        if mailbox.is_file():
            yield mailbox, questions
            return


def _questions(config: Mapping[str, Any], near: Path) -> dict[str, Question]:
    found: dict[str, Question] = {}
    for _, path in _places(config, near):
        try:
            found |= {question.id: question for question in read_questions(path)}
        except MailsleuthError:
            continue  # moved or damaged: what they say is missing, and the page says which mail is
    return found


def _opened(mailbox: Path) -> Library | None:
    try:
        return Library(mailbox) if mailbox.is_file() else None
    except MailsleuthError:
        return None
